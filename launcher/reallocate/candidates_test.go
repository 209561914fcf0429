package reallocate

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/market"
	"github.com/slipway-dev/slipway/launcher/offering"
)

const testScheduler = "slipway-scheduler"

func underusedPool(change ...func(*v1alpha1.NodePool)) *v1alpha1.NodePool {
	return newPool(func(p *v1alpha1.NodePool) {
		p.Spec.Disruption.ConsolidationPolicy = v1alpha1.ConsolidateWhenEmptyOrUnderutilized
		for _, c := range change {
			c(p)
		}
	})
}

// mayMove makes a pod one that a node may be removed with.
func mayMove(p *corev1.Pod) {
	p.Spec.SchedulerName = testScheduler
	p.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "rs", Controller: new(true)}}
}

// underused makes an old, ready node with a pod that may move.
func underused(name string, change ...func(*corev1.Pod)) []client.Object {
	objs := nodeOf(name)
	claim, node := objs[0].(*v1alpha1.NodeClaim), objs[1].(*corev1.Node)
	for i := range claim.Status.Conditions {
		claim.Status.Conditions[i].LastTransitionTime = metav1.NewTime(time.Now().Add(-time.Hour))
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return append(objs, newPod("on-"+name, "node-"+name, func(p *corev1.Pod) {
		mayMove(p)
		for _, c := range change {
			c(p)
		}
	}))
}

// emptyCatalog sells nothing.
type emptyCatalog struct{}

func (emptyCatalog) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	return nil, nil
}

// newTestConsolidator looks at the world as it was an hour after the last process had begun.
func newTestConsolidator(w *world) *consolidator {
	w.remover.schedulers = sets.New(testScheduler)
	return &consolidator{
		remover: w.remover, market: market.Observer{Client: w.client, Catalog: emptyCatalog{}}, minAge: 5 * time.Minute, started: w.clock.Now().Add(-time.Hour),
	}
}

func TestObstacles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pod    func(*corev1.Pod)
		pool   func(*v1alpha1.NodePool)
		change func([]client.Object)
		more   []client.Object
		want   string // reason; "" for a candidate
		passes bool
	}{
		{name: "none"},
		{name: "no owner", pod: func(p *corev1.Pod) { p.OwnerReferences = nil }, want: reasonOwnerless},
		{name: "a group's", pod: func(p *corev1.Pod) { p.Labels = map[string]string{v1alpha1.LabelPodGroup: "ring"} }, want: reasonGroup},
		{name: "another scheduler's", pod: func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }, want: reasonOtherScheduler},
		{name: "a device of its own", pod: func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} }, want: reasonOwnDevice},
		{name: "do not disrupt", pod: func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"} }, want: reasonDoNotDisrupt},
		{name: "two schedulers'", more: []client.Object{newPod("b", "node-a", func(p *corev1.Pod) { mayMove(p); p.Spec.SchedulerName = "second" })}, want: reasonOtherScheduler},
		{
			name: "a disruption budget of nothing", pod: func(p *corev1.Pod) { p.Labels = map[string]string{"app": "db"} }, want: reasonGuarded,
			more: []client.Object{&policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
				Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}},
			}},
		},
		{
			name: "another's disruption budget",
			more: []client.Object{&policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
				Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}},
			}},
		},
		{name: "never", pool: func(p *v1alpha1.NodePool) { p.Spec.Disruption.ConsolidateAfter = v1alpha1.Never }, want: reasonNever},
		{name: "a node of a reservation", change: func(o []client.Object) {
			o[0].(*v1alpha1.NodeClaim).Status.CapacityType = v1alpha1.CapacityTypeReserved
		}, want: reasonPaidFor},
		{
			name: "young", want: "it is new", passes: true,
			change: func(o []client.Object) {
				for i := range o[0].(*v1alpha1.NodeClaim).Status.Conditions {
					o[0].(*v1alpha1.NodeClaim).Status.Conditions[i].LastTransitionTime = metav1.Now()
				}
			},
		},
		{name: "a pod came just now", pod: func(p *corev1.Pod) { p.CreationTimestamp = metav1.Now() }, want: "pods came or went", passes: true},
		{name: "not ready", change: func(o []client.Object) { o[1].(*corev1.Node).Status.Conditions = nil }, want: "it is not ready", passes: true},
		{name: "a DaemonSet's pod does not count", more: []client.Object{newPod("ds", "node-a", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "ds", Controller: new(true)}}
		})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := underused("a", func(p *corev1.Pod) {
				if tt.pod != nil {
					tt.pod(p)
				}
			})
			if tt.change != nil {
				tt.change(objs)
			}
			pool := underusedPool(func(p *v1alpha1.NodePool) {
				if tt.pool != nil {
					tt.pool(p)
				}
			})
			w := newWorld(t, append(append(objs, pool), tt.more...)...)
			c := newTestConsolidator(w)
			c.schedulers.Insert("second")
			s, err := c.look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			why := s.obstacles["a"]
			if why.reason != tt.want || why.passes != tt.passes {
				t.Errorf("got %+v, want %q", why, tt.want)
			}
			if n := len(s.candidates[testScheduler]); (n == 1) != (tt.want == "") {
				t.Errorf("%d candidates", n)
			}
		})
	}
}

// TestWhoIsNotLookedAt: nodes of other policies, without pods, or on their way out are neither
// candidates nor told why.
func TestWhoIsNotLookedAt(t *testing.T) {
	empty := underused("empty")[:2]
	other := underused("other")
	other[0].(*v1alpha1.NodeClaim).Spec.NodePool = "whenempty"
	going := underused("going")
	going[0].(*v1alpha1.NodeClaim).Status.Conditions = append(going[0].(*v1alpha1.NodeClaim).Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue, Reason: reasonDisrupting, LastTransitionTime: metav1.Now(),
	})
	objs := append(append(append(empty, other...), going...), underusedPool(), newPool(func(p *v1alpha1.NodePool) { p.Name, p.UID = "whenempty", types.UID("w") }))
	w := newWorld(t, objs...)
	s, err := newTestConsolidator(w).look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.candidates) != 0 || len(s.obstacles) != 0 {
		t.Errorf("candidates %v, obstacles %v", s.candidates, s.obstacles)
	}
	if !s.closed.HasAll("node-empty", "node-going") || s.closed.Has("node-other") {
		t.Errorf("closed: %v", sets.List(s.closed))
	}
	if len(s.leaving) != 1 || s.leaving[0] != "node-going" {
		t.Errorf("leaving: %v", s.leaving)
	}
}

// TestObstacleIsToldOnce: condition and event, once a reason.
func TestObstacleIsToldOnce(t *testing.T) {
	w := newWorld(t, append(underused("a", func(p *corev1.Pod) { p.OwnerReferences = nil }), underusedPool())...)
	c := newTestConsolidator(w)
	for range 3 {
		s, err := c.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.tellObstacles(t.Context(), s)
	}
	w.says(v1alpha1.ConditionConsolidatable, "False PodWithoutOwner: pod default/on-a has no controller that would replace it")
	if n := w.events.count("*v1.Node Unconsolidatable"); n != 1 {
		t.Errorf("Unconsolidatable %d times", n)
	}
}
