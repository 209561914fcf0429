package fit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// scenario is a cluster with waiting pods and all that may be bought for them.
type scenario struct {
	Seed    uint64
	Profile int // of profiles
	// Features that were drawn.
	Features  []string
	Pods      []*corev1.Pod
	Nodes     []*corev1.Node
	Bound     []*corev1.Pod // on Nodes
	Open      []string      // those of Nodes that may take pods
	Templates []fit.Template
	// DaemonSets' pods are made anew on every node.
	DaemonSets  []*appsv1.DaemonSet
	Namespaces  []*corev1.Namespace
	Services    []*corev1.Service
	ReplicaSets []*appsv1.ReplicaSet
	Claims      []*corev1.PersistentVolumeClaim
	Volumes     []*corev1.PersistentVolume
	Classes     []*storagev1.StorageClass
	Drivers     []*storagev1.CSIDriver
	CSINodes    []*storagev1.CSINode
	Capacities  []*storagev1.CSIStorageCapacity
	// Promised pods have a node, by its name, that they have yet to be bound to.
	Promised map[string]*corev1.Pod
}

// input is what the engine is asked; the nodes' pods are its own to add to.
func (s *scenario) input() fit.Input {
	infos := map[string]*framework.NodeInfo{}
	in := fit.Input{
		Pods: slices.Clone(s.Pods), Open: sets.New(s.Open...), Templates: s.Templates, DaemonSets: s.DaemonSets, Alternatives: 6,
	}
	for _, n := range s.Nodes {
		info := framework.NewNodeInfo()
		info.SetNode(n)
		infos[n.Name] = info
		in.Nodes = append(in.Nodes, info)
	}
	for _, p := range s.onNodes() {
		if info := infos[p.Spec.NodeName]; info != nil {
			info.AddPod(p)
		}
	}
	for node, p := range s.Promised {
		infos[node].AddPod(p)
	}
	return in
}

// onNodes are the pods on the nodes that exist, those of DaemonSets included.
func (s *scenario) onNodes() []*corev1.Pod {
	var all []*corev1.Pod
	for _, p := range s.Bound {
		if slices.ContainsFunc(s.Nodes, func(n *corev1.Node) bool { return n.Name == p.Spec.NodeName }) {
			all = append(all, p)
		}
	}
	for _, n := range s.Nodes {
		all = append(all, s.daemonsOn(n)...)
	}
	return all
}

// daemonsOn are the pods that the DaemonSet controller makes for a node.
func (s *scenario) daemonsOn(n *corev1.Node) []*corev1.Pod {
	var all []*corev1.Pod
	for _, ds := range s.DaemonSets {
		if should, _ := daemon.NodeShouldRunDaemonPod(logr.Discard(), n, ds.DeepCopy()); !should {
			continue
		}
		pod := daemon.NewPod(ds.DeepCopy(), n.Name)
		pod.Name = ds.Name + "-" + n.Name
		pod.UID = types.UID(pod.Name)
		pod.Spec.NodeName = n.Name
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
		all = append(all, pod)
	}
	return all
}

// generator makes a scenario out of a seed.
type generator struct {
	*rand.Rand
	*scenario
	on []feature
}

// feature is something that pods may ask for. Few are drawn for a scenario, so that each
// also meets every other one alone.
type feature struct {
	name string
	// apply asks for it in the template of a group of pods.
	apply func(g *generator, pod *corev1.Pod)
}

func generate(seed uint64) *scenario {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), scenario: &scenario{Seed: seed}}
	if g.chance(0.4) {
		g.Profile = 1 + g.IntN(len(profiles)-1)
	}
	g.addObjects()
	g.addTemplates()
	likely := 2.5 / float64(len(features))
	for _, f := range features {
		if g.chance(likely) {
			g.on = append(g.on, f)
			g.Features = append(g.Features, f.name)
		}
	}
	if g.chance(0.4) {
		g.addDaemonSets()
	}
	if g.chance(0.6) {
		g.addNodes()
	}
	for n := 1 + g.IntN(6); n > 0; n-- {
		g.addPods(1 + g.IntN(8))
	}
	g.Shuffle(len(g.Pods), func(i, j int) { g.Pods[i], g.Pods[j] = g.Pods[j], g.Pods[i] })
	return g.scenario
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// some returns between least and all of from, in order.
func some[T any](g *generator, least int, from ...T) []T {
	n := least + g.IntN(len(from)-least+1)
	kept := g.Perm(len(from))[:n]
	slices.Sort(kept)
	var all []T
	for _, i := range kept {
		all = append(all, from[i])
	}
	return all
}

const (
	rack  = "example.com/rack" // a label that only some nodes have
	gen   = "example.com/gen"  // a number
	gpu   = "nvidia.com/gpu"
	huge  = corev1.ResourceName("hugepages-2Mi")
	apart = "team"
)

// types of instances: CPUs, GiB, a generation, GPUs, MiB of huge pages.
var instanceTypes = [][5]int{
	{1, 2, 5}, {2, 4, 5}, {2, 8, 6}, {4, 8, 7}, {4, 16, 5}, {8, 32, 6}, {8, 64, 7, 0, 64}, {16, 64, 5}, {8, 32, 5, 2}, {16, 128, 7, 4, 128},
}

func (g *generator) addTemplates() {
	pools := some(g, 1, "alpha", "beta")
	for _, pool := range pools {
		var taints []corev1.Taint
		if g.chance(0.15) {
			taints = append(taints, corev1.Taint{Key: apart, Value: pick(g, "ml", "web"), Effect: pick(g, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule)})
		}
		rackOf, tier := "", int32(0)
		if g.chance(0.4) {
			rackOf = pick(g, "r1", "r2")
		}
		if g.chance(0.2) {
			tier = 10
		}
		in, arches := some(g, 1, zones...), some(g, 1, "amd64", "arm64")
		capacityTypes := some(g, 1, "on-demand", "spot")
		for _, i := range some(g, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) {
			for _, zone := range in {
				for _, c := range capacityTypes {
					t := newTemplate(pool, i, zone, arches[i%len(arches)], c)
					t.Node.Spec.Taints, t.Tier = taints, tier
					if rackOf != "" {
						t.Node.Labels[rack] = rackOf
					}
					g.Templates = append(g.Templates, t)
				}
			}
		}
	}
}

func newTemplate(pool string, instanceType int, zone, arch, capacityType string) fit.Template {
	i := instanceTypes[instanceType]
	t := template(pool, i[0], i[1], zone)
	labels, list := t.Node.Labels, t.Node.Status.Allocatable
	labels[corev1.LabelInstanceTypeStable] += "-" + arch
	labels[corev1.LabelArchStable], labels["pool"], labels["capacity"] = arch, pool, capacityType
	labels[corev1.LabelTopologyRegion], labels[gen] = "here", fmt.Sprint(i[2])
	list[corev1.ResourcePods] = *resource.NewQuantity(int64(8+4*i[0]), resource.DecimalSI)
	if i[3] > 0 {
		list[gpu] = *resource.NewQuantity(int64(i[3]), resource.DecimalSI)
	}
	if i[4] > 0 {
		list[huge] = *resource.NewQuantity(int64(i[4])<<20, resource.BinarySI)
	}
	if capacityType == "spot" {
		t.Price *= 0.4
	}
	return t
}

// addNodes adds nodes that exist or are on their way, with pods in all of their roles.
func (g *generator) addNodes() {
	for i := range 1 + g.IntN(8) {
		t := pick(g, g.Templates...)
		if g.chance(0.2) {
			t = newTemplate("old", g.IntN(len(instanceTypes)), pick(g, "a", "b", "c", "d"), "amd64", "on-demand")
		}
		node := joined(t, fmt.Sprintf("node-%d", i))
		switch g.IntN(8) {
		case 0:
			node.Spec.Unschedulable = true
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		case 1:
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "example.com/starting", Effect: corev1.TaintEffectNoSchedule})
		case 2:
			delete(node.Labels, pick(g, corev1.LabelHostname, corev1.LabelTopologyZone, rack))
		}
		g.Nodes = append(g.Nodes, node)
		if g.chance(0.25) {
			g.Open = append(g.Open, node.Name)
		}
		for range g.IntN(5) {
			pod := g.pod(fmt.Sprintf("bound-%d", len(g.Bound)))
			pod.Spec.NodeName = node.Name
			had := len(g.Claims)
			g.claim(pod)
			for _, c := range g.Claims[had:] {
				g.bind(c, node.Labels[corev1.LabelTopologyZone])
			}
			if g.chance(0.15) {
				pod.DeletionTimestamp = &metav1.Time{}
			}
			if g.chance(0.15) { // resized in place: the node has granted more than is asked for by now
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Resources: &corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("900m"), corev1.ResourceMemory: resource.MustParse("2Gi")},
				}}}
			}
			g.Bound = append(g.Bound, pod)
		}
		g.addCSINode(node)
	}
}

// joined is the node that a template becomes.
func joined(t fit.Template, name string) *corev1.Node {
	node := t.Node.DeepCopy()
	node.Name, node.Labels[corev1.LabelHostname] = name, name
	return node
}

func (g *generator) addDaemonSets() {
	for i := range 1 + g.IntN(2) {
		pod := g.base()
		if g.chance(0.3) {
			pod.Spec.NodeSelector = map[string]string{corev1.LabelArchStable: "amd64"}
		}
		if g.chance(0.3) {
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}
		if g.chance(0.4) {
			onPort(pick[int32](g, 80, 443))(pod)
		}
		if g.chance(0.2) {
			g.withTerm(pod, pick(g, corev1.LabelHostname, corev1.LabelTopologyZone), false)
		}
		name := fmt.Sprintf("daemon-%d", i)
		g.DaemonSets = append(g.DaemonSets, &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: pick(g, "kube-system", "blue"), Name: name, UID: types.UID(name)},
			Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}},
		})
	}
}

// addPods adds the replicas of one owner.
func (g *generator) addPods(replicas int) {
	name := fmt.Sprintf("g%d", len(g.ReplicaSets))
	first := g.pod(name)
	g.ReplicaSets = append(g.ReplicaSets, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: first.Namespace, Name: name, UID: types.UID(name)},
		Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": first.Labels["app"]}}},
	})
	owner := metav1.NewControllerRef(g.ReplicaSets[len(g.ReplicaSets)-1], appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	for i := range replicas {
		pod := first.DeepCopy()
		pod.Name = fmt.Sprintf("%s-%d", name, i)
		pod.UID = types.UID(pod.Name)
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
		g.claim(pod)
		g.Pods = append(g.Pods, pod)
	}
}
