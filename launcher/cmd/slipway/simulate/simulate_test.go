package simulate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/simulate"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func TestMain(m *testing.M) {
	// The scheduler framework's recorder looks at its context once a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("k8s.io/kubernetes/pkg/scheduler/metrics.(*MetricAsyncRecorder).run"))
}

// onlyLarge allows one type, so that there is one best plan.
const onlyLarge = `
---
apiVersion: slipway.dev/v1alpha1
kind: NodePool
metadata: {name: p}
spec:
  limits: {nodes: 2}
  template: {spec: {requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.large]}]}}
`

func pod(name, cpu, rest string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {%scontainers: [{resources: {requests: {cpu: %s}}}]}\n", name, rest, cpu)
}

const withData = "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}], "

func claim(class string) string {
	return "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n" +
		"spec: {accessModes: [ReadWriteOnce], storageClassName: " + class + ", resources: {requests: {storage: 1Gi}}}\n"
}

// node is an existing node named old.
func node(rest string) string {
	return "---\napiVersion: v1\nkind: Node\nmetadata: {name: old, labels: {slipway.dev/nodepool: p, kubernetes.io/os: linux}}\n" + rest +
		"status: {capacity: {cpu: 4, memory: 8Gi, pods: 20}}\n"
}

func TestPlan(t *testing.T) {
	const zonalVolume = "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec:\n" +
		"  {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}, storageClassName: c, claimRef: {namespace: default, name: data},\n" +
		"   nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: topology.kubernetes.io/zone, operator: In, values: [us-east-1b]}]}]}}}\n"
	const zonalClass = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: c}\nprovisioner: p\nvolumeBindingMode: WaitForFirstConsumer\n" +
		"allowedTopologies: [{matchLabelExpressions: [{key: topology.kubernetes.io/zone, values: [us-east-1c]}]}]\n"
	const agent = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, " +
		"spec: {containers: [{resources: {limits: {cpu: 500m}}}]}}}\n"
	const devices = "---\napiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: gpu}\nspec: {}\n" +
		"---\napiVersion: resource.k8s.io/v1\nkind: ResourceSlice\nmetadata: {name: slice}\n" +
		"spec: {nodeName: old, driver: d.example.com, pool: {name: old, generation: 1, resourceSliceCount: 1}, devices: [{name: d0}]}\n" +
		"---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: gpu}\n" +
		"spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu}}]}}}\n"
	const withGPU = "resourceClaims: [{name: gpu, resourceClaimTemplateName: gpu}], "
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"a pod", pod("a", "1", ""), []string{"m5.large in us-east-1a: a"}},
		{"a volume's zone", pod("a", "1", withData) + claim("c") + zonalVolume, []string{"m5.large in us-east-1b: a"}},
		{"a storage class's zone", pod("a", "1", withData) + claim("c") + zonalClass, []string{"m5.large in us-east-1c: a"}},
		{"a class nobody defined", pod("a", "1", withData) + claim("gp3"), []string{"m5.large in us-east-1a: a"}},
		{"a claim that is not there", pod("a", "1", withData), []string{`a has no place: persistentvolumeclaim "data" not found`}},
		{"the DaemonSets' room is kept", pod("a", "1500m", "") + agent,
			[]string{"a has no place: nodepool p: needs 1500m cpu, the largest allowed type m5.large gives 1430m"}},
		{"the NodePool's limit", pod("a", "1500m", "") + pod("b", "1500m", "") + pod("c", "1500m", ""),
			[]string{"m5.large in us-east-1a: a", "m5.large in us-east-1a: b", "c has no place: nodepool p: its limit of 2 nodes is reached"}},
		{"room that is there", node("") + pod("a", "3", ""), []string{"old: 1"}},
		{"room that is taken", node("") + pod("a", "1500m", "") + pod("b", "3", "nodeName: old, "), []string{"m5.large in us-east-1a: a"}},
		{"room that a DaemonSet will take", node("") + agent + pod("a", "1400m", "") + pod("b", "3", "nodeName: old, "), []string{"m5.large in us-east-1a: a"}},
		{"room that a DaemonSet takes once", node("") + agent + pod("a", "3400m", ""), []string{"old: 1"}},
		{"room on a node that is not ready", strings.Replace(node(""), "status: {", "status: {conditions: [{type: Ready, status: 'False'}], ", 1) + pod("a", "1", ""),
			[]string{"m5.large in us-east-1a: a"}},
		{"devices that a node has", node("") + devices + pod("a", "1", withGPU) + pod("b", "1", withGPU),
			[]string{"old: 1", "b has no place: nodepool p: cannot allocate all claims: a node has devices to claim only once its driver " +
				"has published them, so none is bought for a claim (3 of 3 offerings that are large enough)"}},
		{"existing nodes count against the limit", node("spec: {unschedulable: true}\n") + pod("a", "1500m", "") + pod("b", "1500m", ""),
			[]string{"m5.large in us-east-1a: a", "b has no place: nodepool p: its limit of 2 nodes is reached"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, plan(t, tt.text+onlyLarge)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// plan plans for manifests and renders what comes of it, a line a node.
func plan(t *testing.T, text string) []string {
	t.Helper()
	read, err := manifest.Read([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	profile, err := latest.Default()
	if err != nil {
		t.Fatal(err)
	}
	builtin, err := catalog.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	types, err := builtin.Types(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	offers, err := offering.Of(read.Objects.NodePools[0], types)
	if err != nil {
		t.Fatal(err)
	}
	found, err := simulate.Plan(t.Context(), simulate.Input{
		Profile: &profile.Profiles[0], Objects: read.Objects, Workload: workload.New(read.Objects),
		Offers: offers.Available, Pools: read.Objects.NodePools,
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, n := range found.Nodes {
		var names []string
		for _, p := range n.Pods {
			names = append(names, p.Name)
		}
		o := offers.Available[n.Templates[0]]
		lines = append(lines, fmt.Sprintf("%s in %s: %s", o.Type, o.Zone, strings.Join(names, " ")))
	}
	for _, n := range found.Reused {
		lines = append(lines, fmt.Sprintf("%s: %d", n.Node, len(n.Pods)))
	}
	slices.Sort(lines)
	for _, u := range found.Unplaced {
		lines = append(lines, u.Pod.Name+" has no place: "+strings.Join(u.Reasons, "; "))
	}
	return lines
}
