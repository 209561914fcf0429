package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// ring is a Deployment whose pods start together, each on a node of its own.
func ring(pods int32) *appsv1.Deployment {
	d := deployment("ring", pods, "1200m")
	d.Spec.Template.Labels = map[string]string{"app": "ring", v1alpha1.LabelPodGroup: "ring", v1alpha1.LabelPodGroupMin: fmt.Sprint(pods)}
	return d
}

// noneBound checks for a while that none of a group's pods runs.
func (w *world) noneBound(d time.Duration, app string) {
	w.t.Helper()
	w.always(d, "no pod of the group runs alone", func() error {
		if slices.ContainsFunc(w.pods(app), onNode) {
			return errors.New("one runs")
		}
		return nil
	})
}

// changePool updates a NodePool.
func (w *world) changePool(p *v1alpha1.NodePool, change func()) {
	w.t.Helper()
	w.eventually("NodePool "+p.Name+" is changed", func() error {
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		change()
		return w.Client.Update(w.ctx, p)
	})
}

// TestGroupWithinLimits: where limits leave room for three of four nodes, none is bought and
// others get the room; with the fourth, all four pods start.
func TestGroupWithinLimits(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("ring", never, "m5.large")
	p.Spec.Limits = corev1.ResourceList{"nodes": resource.MustParse("3")}
	w.poolReady(p)
	w.create(ring(4))
	w.event("Pod", "", "Unlaunchable", "4 pods of group default/ring must start together, and only 3 have places or can get some: nodepool ring: its limit of 3 nodes is reached")
	w.always(2*time.Second, "nothing is bought for too few", func() error {
		if s := w.look("ring"); len(s.claims)+len(s.instances) > 0 {
			return fmt.Errorf("there are %s", s)
		}
		return nil
	})
	w.create(deployment("other", 1, "1200m"))
	w.bound("other", 1)
	w.changePool(p, func() { p.Spec.Limits["nodes"] = resource.MustParse("5") })
	w.onReserved(w.bound("ring", 4))
	w.boughtOnce("ring")
}

// TestGroupIsIncomplete: pods wait for the rest of their group and say so.
func TestGroupIsIncomplete(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("ring", never, "m5.large"))
	d := ring(2)
	d.Spec.Template.Labels[v1alpha1.LabelPodGroupMin] = "3"
	w.create(d)
	w.eventually("the pods say for how many they wait", func() error {
		pods := w.pods("ring")
		if every(2, pods, func(p corev1.Pod) bool {
			return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Message == "waiting for the launcher to plan a node for this pod: waits for 1 more pods of group default/ring"
			})
		}) {
			return nil
		}
		return fmt.Errorf("pods: %v", pods)
	})
	if s := w.look("ring"); len(s.claims) > 0 {
		t.Errorf("there are %s", s)
	}
	w.eventually("a third pod is asked for", func() error {
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return err
		}
		d.Spec.Replicas = new(int32(3))
		return w.Client.Update(w.ctx, d)
	})
	w.settled("ring", 3)
}

// TestGroupStartsTogether: no node of a group is used before all are ready.
func TestGroupStartsTogether(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("ring", never, "m5.large")
	p.Spec.Template.Spec.StartupTaints = []corev1.Taint{bootTaint}
	w.poolReady(p)
	w.create(ring(2))
	w.moment("both nodes are registered", "ring", func(s scene) bool { return every(2, s.claims, registered) && len(s.nodes) == 2 })
	w.untaint(w.look("ring").nodes[0].Name)
	w.moment("one is ready", "ring", func(s scene) bool { return slices.ContainsFunc(s.claims, initialized) })
	w.noneBound(2*time.Second, "ring")
	w.untaint(w.look("ring").nodes[1].Name)
	w.settled("ring", 2)
}

// TestGroupInOneZone: the cheapest zone has nodes for some of the group. They are given back,
// and all pods start in another.
func TestGroupInOneZone(t *testing.T) {
	t.Parallel()
	const first = "us-east-1a"
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 2 * time.Second // no node is ready before the last launch has failed
		c.Sim.Capacity = []simec2.CapacityRule{{InstanceType: "m5.large", Zone: first, CapacityType: "on-demand", Instances: 2}}
	})
	w.poolReady(onDemand(pool("ring", never, "m5.large")))
	d := ring(4)
	d.Spec.Template.Annotations = map[string]string{v1alpha1.PodGroupTopologyAnnotation: corev1.LabelTopologyZone}
	w.create(d)
	w.onReserved(w.bound("ring", 4))
	w.moment("four nodes are left", "ring", func(s scene) bool { return every(4, s.claims, initialized) && len(s.nodes) == 4 })
	zone := w.look("ring").nodes[0].Labels[corev1.LabelTopologyZone]
	for _, n := range w.look("ring").nodes {
		if z := n.Labels[corev1.LabelTopologyZone]; z != zone || z == first {
			t.Errorf("node %s is in %s, another in %s; %s has no room for all", n.Name, z, zone, first)
		}
	}
}

// TestGroupLaunchFails: where EC2 has three of four nodes, none is kept and no pod starts.
func TestGroupLaunchFails(t *testing.T) {
	t.Parallel()
	three := simec2.CapacityRule{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "on-demand", Instances: 3}
	w := start(t, func(c *stack.Config) {
		c.Sim.BootDelay = 2 * time.Second
		c.Sim.Capacity = []simec2.CapacityRule{three}
		c.Launcher = func(l *launcherconfig.Config) { l.UnavailableFor = metav1.Duration{Duration: 10 * time.Second} }
	})
	p := onDemand(pool("ring", never, "m5.large"))
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements,
		v1alpha1.Requirement{Key: corev1.LabelTopologyZone, Operator: v1alpha1.OpIn, Values: []string{"us-east-1a"}})
	w.poolReady(p)
	w.create(ring(4))
	w.event("Pod", "", "Unlaunchable", "4 pods of group default/ring must start together, and only")
	w.moment("what was bought is given back", "ring", func(s scene) bool {
		return len(s.instances) > 0 && every(len(s.instances), s.instances, ended) && every(len(s.claims), s.claims, leaving)
	})
	if slices.ContainsFunc(w.pods("ring"), onNode) {
		t.Error("a pod runs alone")
	}
	plenty := three
	plenty.Instances = 10
	if err := w.Sim.SetCapacity(plenty); err != nil {
		t.Fatal(err)
	}
	w.onReserved(w.bound("ring", 4))
}

// TestPodGroup: the cluster has PodGroups, and its scheduler binds their pods together. Where
// limits leave room for too few nothing is bought.
func TestPodGroup(t *testing.T) {
	t.Parallel()
	w := start(t, withPodGroups)
	p := pool("ring", never, "m5.large")
	p.Spec.Limits = corev1.ResourceList{"nodes": resource.MustParse("2")}
	w.poolReady(p)
	w.create(inPodGroup(3)...)
	w.event("Pod", "", "Unlaunchable", "3 pods of PodGroup default/ring must start together, and only 2 have places or can get some")
	if s := w.look("ring"); len(s.claims)+len(s.instances) > 0 {
		t.Errorf("there are %s", s)
	}
	w.changePool(p, func() { p.Spec.Limits["nodes"] = resource.MustParse("3") })
	w.settled("ring", 3)
}

// TestPodGroupUsesRoom: one pod of a PodGroup fits on a node that runs and waits there, in the
// scheduler, for the two that nodes are bought for.
func TestPodGroupUsesRoom(t *testing.T) {
	t.Parallel()
	w := start(t, withPodGroups)
	w.poolReady(pool("ring", never, "m5.large"))
	w.create(deployment("small", 1, "300m"))
	w.bound("small", 1)
	w.moment("its node is ready", "ring", func(s scene) bool { return every(1, s.claims, initialized) })
	w.create(inPodGroup(3)...)
	w.bound("ring", 3)
	w.moment("two nodes are bought", "ring", func(s scene) bool { return every(3, s.claims, initialized) })
	w.boughtOnce("ring")
}

// withPodGroups has the cluster serve PodGroups and the scheduler bind their pods together.
func withPodGroups(c *stack.Config) {
	c.FeatureGates = []string{"GenericWorkload", "GangScheduling"}
	c.APIs = []string{"scheduling.k8s.io/v1alpha2"}
}

// inPodGroup are pods that start together, each on a node of its own, and their PodGroup.
func inPodGroup(pods int32) []client.Object {
	pg := &schedulingv1alpha2.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ring"}}
	pg.Spec.SchedulingPolicy.Gang = &schedulingv1alpha2.GangSchedulingPolicy{MinCount: pods}
	return []client.Object{pg, deployment("ring", pods, "1200m", func(s *corev1.PodSpec) {
		s.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: new("ring")}
	})}
}

// onDemand restricts a NodePool to on-demand capacity.
func onDemand(p *v1alpha1.NodePool) *v1alpha1.NodePool {
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements,
		v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeOnDemand}})
	return p
}
