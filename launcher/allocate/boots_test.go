package allocate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/market"
)

// TestExpectedReady: how long a node will take is known from those before it, best from
// those of its type and image.
func TestExpectedReady(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	node := func(name, instanceType, image string, took time.Duration) *v1alpha1.NodeClaim {
		c := claimFor(name, "pod-of-"+name)
		c.Status.InstanceType, c.Status.ImageID, c.Status.NodeName = instanceType, image, "node-"+name
		c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)}}
		if took > 0 {
			c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(start.Add(took)),
			})
		}
		return c
	}
	for _, tt := range []struct {
		name   string
		before []*v1alpha1.NodeClaim
		want   time.Duration
	}{
		{"nothing is known", nil, 0},
		{"one like it", []*v1alpha1.NodeClaim{node("1", "t3.medium", "ami-1", 40*time.Second)}, 40 * time.Second},
		{"the latest counts a quarter", []*v1alpha1.NodeClaim{
			node("1", "t3.medium", "ami-1", 40*time.Second), node("2", "t3.medium", "ami-1", 80*time.Second),
		}, 50 * time.Second},
		{"another image", []*v1alpha1.NodeClaim{
			node("1", "t3.medium", "ami-1", 40*time.Second), node("2", "t3.medium", "ami-2", 80*time.Second),
		}, 40 * time.Second},
		{"only others", []*v1alpha1.NodeClaim{node("1", "p5.48xlarge", "ami-2", 4*time.Minute)}, 4 * time.Minute},
		{"seen twice", []*v1alpha1.NodeClaim{
			node("1", "t3.medium", "ami-1", 40*time.Second), node("2", "t3.medium", "ami-1", 80*time.Second), node("2", "t3.medium", "ami-1", 80*time.Second),
		}, 50 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, waiting("pod-of-x"))
			for _, c := range tt.before {
				l.observe(event{claim: c})
			}
			l.reserve([]*corev1.Pod{waiting("pod-of-x")})
			l.observe(event{claim: node("x", "t3.medium", "ami-1", 0)})
			got := l.pods["pod-of-x"].ExpectedReady
			if tt.want == 0 && !got.IsZero() || tt.want > 0 && !got.Equal(start.Add(tt.want)) {
				t.Errorf("expected %s after its purchase, want %s", got.Sub(start), tt.want)
			}
		})
	}
}

// TestLateNode: a node that should long have been ready gets no more pods, and when its claim
// is given up, its pods are planned for again with patience.
func TestLateNode(t *testing.T) {
	for _, tt := range []struct {
		name string
		took time.Duration // by the nodes before it; 0 for none
		age  time.Duration // since its purchase
		want bool
	}{
		{"as long as others", 40 * time.Second, 40 * time.Second, false},
		{"three times as long, but not for long", 20 * time.Second, 90 * time.Second, false},
		{"more than three times as long", time.Minute, 181 * time.Second, true},
		{"nothing is known of others", 0, 4 * time.Minute, false},
		{"nothing is known of others, and it is long ago", 0, 6 * time.Minute, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, waiting("a"), waiting("b"))
			if tt.took > 0 {
				l.boots[boot{}] = tt.took
			}
			claim := launched("a")
			meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionTrue, Reason: "Launched",
				LastTransitionTime: metav1.NewTime(time.Now().Add(-tt.age)),
			})
			l.observe(event{claim: claim})
			l.reserve([]*corev1.Pod{waiting("b")})
			l.plan("test")
			b := l.queue[0].batch
			p, _ := newPlanner(t, interceptor.Funcs{})
			v := &view{Market: &market.Market{}, rooms: map[string]*v1alpha1.NodeClaim{}, guessed: map[string]func(string) bool{}}
			if err := p.addNodes(t.Context(), v, *b, sets.New[types.UID]("b")); err != nil {
				t.Fatal(err)
			}
			if late := len(v.rooms) == 0; late != tt.want {
				t.Errorf("late: %v", late)
			}
		})
	}
}

func TestNodeThatIsNeverReadyCallsForPatience(t *testing.T) {
	l := newLoop(t, waiting("a"))
	claim := launched("a")
	l.observe(event{claim: claim})
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInitializationTimeout, Message: "not ready",
	})
	l.observe(event{claim: claim, gone: true})
	if e := l.pods["a"]; e.Phase != Unlaunchable || e.Reason != "not ready" {
		t.Errorf("the pod is %s (%s)", e.Phase, e.Reason)
	}
}
