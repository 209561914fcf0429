package consolidate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

const (
	poolName = "default"
	// alternatives and improve are what the launcher plans with.
	alternatives = 60
)

// newEngine builds an engine of the shipped profile. Its informers run until ctx ends.
func newEngine(ctx context.Context, repo string) (*fit.Engine, error) {
	cfg, err := options.LoadConfigFromFile(klog.FromContext(ctx), filepath.Join(repo, "manifests", "rendered", "default", "scheduler.yaml"))
	if err != nil {
		return nil, fmt.Errorf("scheduler configuration: %w", err)
	}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	engine, err := fit.NewEngine(ctx, fit.Config{Profile: &cfg.Profiles[0], Client: client, Informers: factory, OutOfTree: []string{"Slipway"}})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	return engine, engine.WaitForSync(ctx)
}

// market lists what the built-in catalogue offers of the categories c, m and r, in all zones.
func market(ctx context.Context) (templates []fit.Template, types int, err error) {
	entries, err := catalog.Builtin()
	if err != nil {
		return nil, 0, err
	}
	list, err := entries.Types(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: poolName}}
	pool.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{
		{Key: v1alpha1.LabelInstanceCategory, Operator: v1alpha1.OpIn, Values: []string{"c", "m", "r"}},
	}
	offers, err := offering.Of(pool, list)
	if err != nil {
		return nil, 0, err
	}
	names := map[string]bool{}
	for i := range offers.Available {
		o := &offers.Available[i]
		names[o.Type] = true
		templates = append(templates, fit.Template{Node: o.Node, Price: o.Price, Pool: poolName})
	}
	return templates, len(names), nil
}

// daemonSets run on every node.
func daemonSets() []*appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent", UID: "agent"}}
	ds.Spec.Template.Spec.Containers = []corev1.Container{container(100, 128)}
	return []*appsv1.DaemonSet{ds}
}

func container(milliCPU, mebibytes int64) corev1.Container {
	return corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI), corev1.ResourceMemory: *resource.NewQuantity(mebibytes<<20, resource.BinarySI),
	}}}
}

// deployments makes templates of pods: 0.1 to 4 CPUs, most of them small, 0.5 to 8 GiB for
// each. Of ten, six ask for nothing else, two are spread over zones, one keeps off its like on a
// host, and one is spread over hosts.
func deployments(n int, r *rand.Rand) []*corev1.Pod {
	all := make([]*corev1.Pod, n)
	for i := range all {
		cpu := 100 * (1 + int64(39*r.Float64()*r.Float64()*r.Float64()))
		memory := int64(float64(cpu) * (0.5 + 7.5*r.Float64()) * 1.024)
		labels := map[string]string{"app": fmt.Sprintf("app-%d", i)}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: labels["app"], Labels: labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: labels["app"], UID: types.UID(labels["app"]), Controller: new(true)}},
		}}
		pod.Spec.SchedulerName = "slipway-scheduler"
		pod.Spec.Containers = []corev1.Container{container(cpu, memory)}
		like := &metav1.LabelSelector{MatchLabels: labels}
		switch i % 10 {
		case 2, 5:
			pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{spread(corev1.LabelTopologyZone, 1, like)}
		case 7:
			pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: like}},
			}}
		case 9:
			pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{spread(corev1.LabelHostname, 3, like)}
		}
		all[i] = pod
	}
	return all
}

func spread(key string, skew int32, like *metav1.LabelSelector) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{MaxSkew: skew, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: like}
}

// node of the simulated cluster.
type node struct {
	*corev1.Node
	price  float64
	pods   []*corev1.Pod
	bought int // second
	change int // second at which a pod came or went last
}

// grow makes a cluster of n nodes: Deployments are rolled out, some pods at a time, on the nodes
// that came last and on such as are bought for them, of 8 to 32 CPUs. Then pods end at random
// until the share of the nodes that is used is as configured.
func grow(ctx context.Context, engine *fit.Engine, templates []fit.Template, cfg Config, n int) ([]*node, error) {
	r := rand.New(rand.NewPCG(cfg.Seed, uint64(n))) //nolint:gosec // not for secrets
	apps := deployments(cfg.Deployments, r)
	templates = slices.DeleteFunc(slices.Clone(templates), func(t fit.Template) bool {
		cpus := t.Node.Status.Capacity.Cpu().Value()
		return cpus < 8 || cpus > 32
	})
	var nodes []*node
	for pods := 0; len(nodes) < n; {
		in := fit.Input{Templates: templates, DaemonSets: daemonSets(), Alternatives: 1, Open: sets.New[string]()}
		for range 1 + r.IntN(4) {
			app := apps[r.IntN(len(apps))]
			for range 1 + r.IntN(20) {
				pods++
				in.Pods = append(in.Pods, replica(app, pods))
			}
		}
		byName := map[string]*node{}
		for _, n := range nodes[max(0, len(nodes)-lately):] {
			in.Nodes = append(in.Nodes, n.info())
			in.Open.Insert(n.Name)
			byName[n.Name] = n
		}
		plan, err := engine.Plan(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, reused := range plan.Reused {
			for _, pod := range reused.Pods {
				byName[reused.Node].pods = append(byName[reused.Node].pods, on(pod, reused.Node))
			}
		}
		for _, p := range plan.Nodes[:min(len(plan.Nodes), n-len(nodes))] {
			nodes = append(nodes, newNode(templates, p, fmt.Sprintf("node-%d", len(nodes)), 0))
		}
	}
	cpu, memory := used(nodes)
	kept := cfg.Utilisation / max(cpu, memory)
	for _, n := range nodes {
		n.pods = slices.Clip(slices.DeleteFunc(n.pods, func(*corev1.Pod) bool { return r.Float64() >= kept }))
	}
	return nodes, nil
}

// lately bounds the nodes that a rollout finds room on.
const lately = 30

// info is the node as the scheduler sees it.
func (n *node) info() *framework.NodeInfo {
	info := framework.NewNodeInfo()
	info.SetNode(n.Node)
	for _, pod := range n.pods {
		info.AddPod(pod)
	}
	return info
}

func replica(app *corev1.Pod, number int) *corev1.Pod {
	pod := *app
	pod.Name = fmt.Sprintf("%s-%d", app.Name, number)
	pod.UID = types.UID(pod.Name)
	return &pod
}

// newNode makes a planned node real.
func newNode(templates []fit.Template, p fit.Planned, name string, now int) *node {
	t := &templates[p.Templates[0]]
	n := &node{Node: t.Node.DeepCopy(), price: t.Price, bought: now, change: now}
	n.Name, n.UID = name, types.UID(name)
	n.Labels[corev1.LabelHostname] = name
	for _, pod := range p.Pods {
		n.pods = append(n.pods, on(pod, name))
	}
	return n
}

// on returns a pod bound to a node.
func on(pod *corev1.Pod, name string) *corev1.Pod {
	bound := *pod
	bound.Spec.NodeName = name
	return &bound
}
