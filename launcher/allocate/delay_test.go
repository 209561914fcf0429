package allocate

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDelayOfOwner: a pod whose owner wants it to wait for room is parked until then.
func TestDelayOfOwner(t *testing.T) {
	delay := func(value string) *appsv1.ReplicaSet {
		return replicas(1, func(rs *appsv1.ReplicaSet) { rs.Annotations = map[string]string{delayAnnotation: value} })
	}
	old := func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour)) }
	own := func(p *corev1.Pod) { p.Annotations = map[string]string{delayAnnotation: "1s"} }
	for _, tc := range []struct {
		name  string
		owner *appsv1.ReplicaSet
		pod   func(*corev1.Pod)
		want  Phase
	}{
		{name: "no delay", owner: replicas(1), want: Waiting},
		{name: "half an hour", owner: delay("30m"), want: Unlaunchable},
		{name: "half an hour, which is over", owner: delay("30m"), pod: old, want: Waiting},
		{name: "the pod has its own, which the scheduler has heeded", owner: delay("30m"), pod: own, want: Waiting},
		{name: "no duration", owner: delay("soon"), want: Waiting},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := replica("a", "50", func(p *corev1.Pod) { p.CreationTimestamp = metav1.Now() })
			if tc.pod != nil {
				tc.pod(p)
			}
			l := newLoop(t, tc.owner, p)
			l.reserve([]*corev1.Pod{p})
			e := l.pods["a"]
			if e.Phase != tc.want {
				t.Fatalf("the pod is %s (%s), want %s", e.Phase, e.Reason, tc.want)
			}
			if tc.want == Waiting {
				return
			}
			if !strings.Contains(e.Reason, "ReplicaSet rs wants none before ") {
				t.Errorf("reason %q", e.Reason)
			}
			l.reconsider("offerings changed")
			until := p.CreationTimestamp.Add(30 * time.Minute)
			if next := l.wakeParked(until.Add(-time.Second)); !next.Equal(until) || e.Phase != Unlaunchable {
				t.Errorf("it is %s a second before, and looked at again at %s, want %s", e.Phase, next, until)
			}
			if l.wakeParked(until); e.Phase != Waiting {
				t.Errorf("it is %s when the time has come", e.Phase)
			}
		})
	}
}
