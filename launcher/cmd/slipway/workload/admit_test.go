package workload_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

const kata = "---\napiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: kata}\nhandler: kata\n" +
	"overhead: {podFixed: {cpu: 250m}}\nscheduling: {nodeSelector: {runtime: kata}, tolerations: [{key: kata, operator: Exists}]}\n"

const limitRange = "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: limits}\nspec: {limits: [{type: Container, defaultRequest: {cpu: 300m}}]}\n"

func TestRuntimeClass(t *testing.T) {
	w := workload.New(objects(t, kata+pod("a", "", "", "runtimeClassName: kata, nodeSelector: {disk: ssd}, ")+
		pod("b", "", "", "runtimeClassName: kata, nodeSelector: {runtime: runc}, ")+pod("c", "", "", "runtimeClassName: gone, ")))
	a := w.Waiting[0].Spec
	if diff := cmp.Diff(map[string]string{"disk": "ssd", "runtime": "kata"}, a.NodeSelector); diff != "" {
		t.Errorf("node selector (-want +got):\n%s", diff)
	}
	if a.Overhead.Cpu().MilliValue() != 250 || len(a.Tolerations) != 1 || a.Tolerations[0].Key != "kata" {
		t.Errorf("overhead %v, tolerations %v", a.Overhead, a.Tolerations)
	}
	want := []string{
		"a pod asks for RuntimeClass gone, which is not among the input: it is taken to have no overhead (1 pods)",
		"a pod selects nodes with RuntimeClass kata, which selects others: the API server refuses it (1 pods)",
	}
	if diff := cmp.Diff(want, w.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestLimitRanges(t *testing.T) {
	other := strings.Replace(pod("b", "", "", ""), "{name: b", "{namespace: other, name: b", 1)
	live := strings.Replace(pod("c", "", "", ""), "{name: c", "{resourceVersion: '1', name: c", 1)
	own := strings.Replace(pod("d", "", "", ""), "image: a", "image: a, resources: {requests: {cpu: 1}}", 1)
	daemon := strings.NewReplacer("Deployment", "DaemonSet", "replicas: 1, ", "", "name: web", "name: agent").Replace(deployment(1))
	o := objects(t, limitRange+pod("a", "", "", "")+other+live+own+daemon)
	w := workload.New(o)
	var got []string
	for _, p := range w.Waiting {
		got = append(got, fmt.Sprintf("%s %s", workload.Key(p), p.Spec.Containers[0].Resources.Requests.Cpu()))
	}
	for _, ds := range o.DaemonSets {
		got = append(got, fmt.Sprintf("%s %s", ds.Name, ds.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu()))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"agent 300m", "default/a 300m", "default/c 0", "default/d 1", "other/b 0"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestMatchLabelKeys(t *testing.T) {
	const term = "topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {a: b}}, "
	constrained := strings.Replace(deployment(1), "{"+containers, "{affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{"+term+
		"matchLabelKeys: [pod-template-hash]}]}}, topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule, "+term+
		"matchLabelKeys: [pod-template-hash]}], "+containers, 1)
	p := workload.New(objects(t, constrained)).Waiting[0]
	want := []metav1.LabelSelectorRequirement{{Key: "pod-template-hash", Operator: metav1.LabelSelectorOpIn, Values: []string{p.Labels["pod-template-hash"]}}}
	if diff := cmp.Diff(want, p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchExpressions); diff != "" {
		t.Errorf("affinity's selector (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, p.Spec.TopologySpreadConstraints[0].LabelSelector.MatchExpressions); diff != "" {
		t.Errorf("spread's selector (-want +got):\n%s", diff)
	}
}

func TestDevices(t *testing.T) {
	const template = "---\napiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: gpu}\n" +
		"spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu, adminAccess: true}}]}}}\n"
	const claims = "resourceClaims: [{name: mine, resourceClaimTemplateName: gpu}, {name: shared, resourceClaimName: all}, {name: lost, resourceClaimTemplateName: none}], "
	o := objects(t, template+pod("a", "", "", claims))
	p := workload.New(o).Waiting[0]
	if len(p.Status.ResourceClaimStatuses) != 1 || *p.Status.ResourceClaimStatuses[0].ResourceClaimName != "a-mine" {
		t.Errorf("the pod's claims are %+v", p.Status.ResourceClaimStatuses)
	}
	if len(o.ResourceClaims) != 1 || o.ResourceClaims[0].Name != "a-mine" || !metav1.IsControlledBy(o.ResourceClaims[0], p) {
		t.Errorf("claims: %+v", o.ResourceClaims)
	}
}
