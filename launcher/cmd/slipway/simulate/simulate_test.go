package simulate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
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
			if diff := cmp.Diff(tt.want, plan(t, tt.text+onlyLarge, nil)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// inFlight is a NodeClaim for an m5.large with a place for the pod named held.
func inFlight(change func(*v1alpha1.NodeClaim)) *v1alpha1.NodeClaim {
	c := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	c.Spec.NodePool, c.Spec.Labels = "p", map[string]string{v1alpha1.LabelNodePool: "p"}
	c.Spec.Pods = []v1alpha1.ReservedPod{{UID: "pod/default/held", Namespace: "default", Name: "held"}}
	var accepted []v1alpha1.AcceptedOffering
	for _, zone := range []string{"us-east-1a", "us-east-1b"} {
		accepted = append(accepted, v1alpha1.AcceptedOffering{InstanceType: "m5.large", Zone: zone, CapacityType: "on-demand", Price: resource.MustParse("0.1")})
	}
	c.Spec.Offerings = v1alpha1.GroupOfferings(accepted...)
	change(c)
	return c
}

// TestInFlight: what nodes on their way have to spare is used first, but by nobody whose place
// depends on what is not known of them.
func TestInFlight(t *testing.T) {
	launched := func(c *v1alpha1.NodeClaim) {
		c.Status.InstanceType, c.Status.Zone, c.Status.CapacityType, c.Status.NodeName = "m5.large", "us-east-1b", "on-demand", "old"
	}
	coming := func(*v1alpha1.NodeClaim) {}
	const inZone = "nodeSelector: {topology.kubernetes.io/zone: us-east-1b}, "
	apart := func(key string) string {
		return "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: " + key + ", labelSelector: {matchLabels: {app: held}}}]}}, "
	}
	held := strings.Replace(pod("held", "1", ""), "name: held", "name: held, labels: {app: held}", 1)
	for _, tt := range []struct {
		name, text string
		claim      func(*v1alpha1.NodeClaim)
		want       []string
	}{
		{"room to spare", pod("a", "900m", ""), launched, []string{"nodeclaim/c: 1"}},
		{"room that is promised", pod("a", "1", ""), launched, []string{"m5.large in us-east-1a: a"}},
		{"in its zone", pod("a", "900m", inZone), launched, []string{"nodeclaim/c: 1"}},
		{"its zone is not known", pod("a", "900m", inZone) + pod("b", "900m", ""), coming, []string{"m5.large in us-east-1b: a", "nodeclaim/c: 1"}},
		{"apart from a pod in a zone that is not known", pod("a", "900m", apart("topology.kubernetes.io/zone")), coming,
			[]string{"a has no place: it depends on pods of node nodeclaim/c, of which topology.kubernetes.io/zone is not known yet"}},
		{"apart from a pod on a host", pod("a", "900m", apart("kubernetes.io/hostname")), coming, []string{"m5.large in us-east-1a: a"}},
		{"its node is cordoned", node("spec: {unschedulable: true}\n") + pod("a", "900m", ""), launched, []string{"m5.large in us-east-1a: a"}},
		{"its node is yet to be initialized", node("") + pod("a", "3", ""), launched, []string{"a has no place: nodepool p: needs 3 cpu, the largest allowed type m5.large gives 1930m"}},
		{"it was initialized", node("") + pod("a", "3", ""), func(c *v1alpha1.NodeClaim) {
			launched(c)
			c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionTrue}}
		}, []string{"old: 1"}},
		{"it counts against the limit", pod("a", "1500m", "") + pod("b", "1500m", ""), coming,
			[]string{"m5.large in us-east-1a: a", "b has no place: nodepool p: its limit of 2 nodes is reached"}},
		{"it is being deleted", pod("a", "900m", ""), func(c *v1alpha1.NodeClaim) { c.DeletionTimestamp = new(metav1.Now()) },
			[]string{"m5.large in us-east-1a: a held"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, plan(t, held+tt.text+onlyLarge, inFlight(tt.claim))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// plan plans for manifests, and a NodeClaim if there is one, and renders what comes of it, a line a node.
func plan(t *testing.T, text string, claim *v1alpha1.NodeClaim) []string {
	t.Helper()
	read, err := manifest.Read([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if claim != nil {
		read.Objects.NodeClaims = append(read.Objects.NodeClaims, claim)
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
	known := map[string]offering.Type{}
	for _, it := range types {
		known[it.Name] = it
	}
	offers, err := offering.Of(read.Objects.NodePools[0], types)
	if err != nil {
		t.Fatal(err)
	}
	found, err := simulate.Plan(t.Context(), simulate.Input{
		Profile: &profile.Profiles[0], Objects: read.Objects, Workload: workload.New(read.Objects),
		Offers: offers.Available, Types: known, Pools: read.Objects.NodePools,
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
