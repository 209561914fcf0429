package fit_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// newEngine builds an engine from the configuration that is shipped.
func newEngine(t testing.TB) *fit.Engine {
	t.Helper()
	cfg, err := options.LoadConfigFromFile(klog.Background(), filepath.Join("..", "..", "manifests", "rendered", "default", "scheduler.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	ctx, cancel := context.WithCancel(t.Context())
	engine, err := fit.NewEngine(ctx, fit.Config{Profile: &cfg.Profiles[0], Client: client, Informers: factory, OutOfTree: []string{"Slipway"}})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	return engine
}

var zones = []string{"a", "b", "c"}

// template is a node of a type with cpus and GiB of memory, at $0.04 a cpu and $0.005 a GiB.
func template(pool string, cpus, gib int, zone string) fit.Template {
	name := fmt.Sprintf("c%dm%d", cpus, gib)
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(int64(cpus)*1000-100, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(int64(gib)<<30-600<<20, resource.BinarySI),
		corev1.ResourceEphemeralStorage: resource.MustParse("18Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	return fit.Template{
		Pool: pool, Price: 0.04*float64(cpus) + 0.005*float64(gib),
		Node: &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
				corev1.LabelInstanceTypeStable: name, corev1.LabelTopologyZone: zone,
				corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux",
			}},
			Status: corev1.NodeStatus{Capacity: list, Allocatable: list},
		},
	}
}

// templates of all sizes in all zones.
func templates() []fit.Template {
	var all []fit.Template
	for _, size := range [][2]int{{2, 4}, {2, 8}, {4, 16}, {8, 32}, {16, 64}} {
		for _, zone := range zones {
			all = append(all, template("default", size[0], size[1], zone))
		}
	}
	return all
}

func pods(n int, app, cpu, memory string, change ...func(*corev1.Pod)) []*corev1.Pod {
	var all []*corev1.Pod
	for i := range n {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: fmt.Sprintf("%s-%d", app, i), UID: types.UID(fmt.Sprintf("%s-%d", app, i)),
				Labels: map[string]string{"app": app},
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
			}}}}},
		}
		for _, c := range change {
			c(pod)
		}
		all = append(all, pod)
	}
	return all
}

func spread(key string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
		}}
	}
}

func antiAffinity(key string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
			}},
		}}
	}
}

func nextTo(app, key string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			}},
		}}
	}
}

func selecting(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

func onPort(port int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: port, ContainerPort: port}}
	}
}

func tainted(t *fit.Template) {
	t.Node.Spec.Taints = []corev1.Taint{{Key: "team", Value: "ml", Effect: corev1.TaintEffectNoSchedule}}
}

func daemonSet(cpu string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent"},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: pods(1, "agent", cpu, "64Mi")[0].Spec}},
	}
}

// existing is a node with pods on it.
func existing(name, zone string, on ...*corev1.Pod) *framework.NodeInfo {
	node := template("", 8, 32, zone).Node.DeepCopy()
	node.Name, node.Labels[corev1.LabelHostname] = name, name
	info := framework.NewNodeInfo()
	info.SetNode(node)
	for _, p := range on {
		info.AddPod(p)
	}
	return info
}

// run plans and renders the plan for people: a line a node, then who has no place and why.
func run(t *testing.T, engine *fit.Engine, in fit.Input) string {
	t.Helper()
	in.Alternatives = 4
	plan, err := engine.Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, r := range plan.Reused {
		fmt.Fprintf(&out, "%s:%s\n", r.Node, byApp(r.Pods))
	}
	for _, n := range plan.Nodes {
		fmt.Fprintf(&out, "%s:%s\n", label(in, n.Templates[0]), byApp(n.Pods))
	}
	if plan.Price < plan.LowerBound-1e-9 {
		t.Errorf("price %v is below the bound %v", plan.Price, plan.LowerBound)
	}
	said := map[string]int{}
	for _, u := range plan.Unplaced {
		reason := strings.Join(u.Reasons, "; ")
		if said[reason]++; said[reason] == 1 {
			fmt.Fprintf(&out, "no place: %s: %s\n", u.Pod.Labels["app"], reason)
		}
	}
	return out.String()
}

// byApp counts pods by their app label.
func byApp(pods []*corev1.Pod) string {
	var out strings.Builder
	counts, order := map[string]int{}, []string{}
	for _, p := range pods {
		if counts[p.Labels["app"]]++; counts[p.Labels["app"]] == 1 {
			order = append(order, p.Labels["app"])
		}
	}
	for _, app := range order {
		fmt.Fprintf(&out, " %d×%s", counts[app], app)
	}
	return out.String()
}

func label(in fit.Input, t int) string {
	n := in.Templates[t].Node
	return n.Labels[corev1.LabelInstanceTypeStable] + "/" + n.Labels[corev1.LabelTopologyZone]
}

type atMost struct{ left int }

func (a *atMost) Take(int) error {
	if a.left == 0 {
		return fmt.Errorf("its limit is reached")
	}
	a.left--
	return nil
}

func (a *atMost) Give(int) { a.left++ }
