package consolidate_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

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
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// newEngine builds an engine of the configuration that is shipped.
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

// cluster is a cluster that is being put together.
type cluster struct {
	consolidate.View
	infos map[string]*framework.NodeInfo
}

func newCluster(templates ...fit.Template) *cluster {
	c := &cluster{infos: map[string]*framework.NodeInfo{}}
	c.View = consolidate.View{
		Open: sets.New[string](), Allowed: map[string]int{"default": 100}, Templates: templates,
		Budget: func() fit.Budget { return nil }, Terms: consolidate.DefaultTerms(), Alternatives: 60,
	}
	return c
}

// add adds a node of a template with pods; it may go, and take pods.
func (c *cluster) add(name string, t fit.Template, pods ...*corev1.Pod) *cluster {
	node := t.Node.DeepCopy()
	node.Name, node.UID = name, types.UID(name)
	node.Labels[corev1.LabelHostname] = name
	info := framework.NewNodeInfo()
	info.SetNode(node)
	for _, p := range pods {
		p = p.DeepCopy()
		p.Spec.NodeName = name
		p.Name = p.Name + "-on-" + name
		p.UID = types.UID(p.Name)
		info.AddPod(p)
	}
	c.infos[name] = info
	c.Nodes = append(c.Nodes, info)
	c.Open.Insert(name)
	c.Candidates = append(c.Candidates, consolidate.Candidate{
		Node: name, Pool: "default", Price: t.Price, Spot: node.Labels[v1alpha1.LabelCapacityType] == v1alpha1.CapacityTypeSpot,
	})
	return c
}

// change lets a case change what is not said otherwise.
func (c *cluster) change(f func(*cluster)) *cluster {
	f(c)
	return c
}

// only lets no other nodes go.
func (c *cluster) only(names ...string) *cluster {
	var kept []consolidate.Candidate
	for _, candidate := range c.Candidates {
		for _, name := range names {
			if candidate.Node == name {
				kept = append(kept, candidate)
			}
		}
	}
	c.Candidates = kept
	return c
}

// typ is a type with CPUs and GiB in zone a, at $0.04 a CPU and $0.005 a GiB.
func typ(cpus, gib int, change ...func(*fit.Template)) fit.Template {
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(int64(cpus)*1000-100, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(int64(gib)<<30-600<<20, resource.BinarySI),
		corev1.ResourceEphemeralStorage: resource.MustParse("18Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	t := fit.Template{
		Pool: "default", Price: 0.04*float64(cpus) + 0.005*float64(gib),
		Node: &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
				corev1.LabelInstanceTypeStable: fmt.Sprintf("c%dm%d", cpus, gib), corev1.LabelTopologyZone: "a",
				corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", v1alpha1.LabelCapacityType: v1alpha1.CapacityTypeOnDemand,
			}},
			Status: corev1.NodeStatus{Capacity: list, Allocatable: list},
		},
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func inZone(zone string) func(*fit.Template) {
	return func(t *fit.Template) { t.Node.Labels[corev1.LabelTopologyZone] = zone }
}

func at(price float64) func(*fit.Template) { return func(t *fit.Template) { t.Price = price } }

func spot(t *fit.Template) {
	t.Node.Labels[v1alpha1.LabelCapacityType] = v1alpha1.CapacityTypeSpot
	t.Price /= 2
}

func named(name string) func(*fit.Template) {
	return func(t *fit.Template) { t.Node.Labels[corev1.LabelInstanceTypeStable] = name }
}

// pod of an app; names are made unique when it gets its node.
func pod(app, cpu string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: app, Labels: map[string]string{"app": app},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: app, UID: types.UID(app), Controller: new(true)}},
		},
		Spec: corev1.PodSpec{SchedulerName: "slipway-scheduler", Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("256Mi"),
			}},
		}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func alone(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
		}},
	}}
}

func overZones(p *corev1.Pod) {
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
	}}
}

func ofDaemonSet(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }
