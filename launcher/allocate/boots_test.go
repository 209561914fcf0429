package allocate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
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
