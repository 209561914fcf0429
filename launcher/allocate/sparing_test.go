package allocate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// sparingClaim is a claim whose node is removed to save money.
func sparingClaim(name, node, below string) *v1alpha1.NodeClaim {
	c := claimFor(name)
	c.Status.NodeName, c.Status.InstanceID, c.Status.ReplaceBelow = node, "i-"+name, new(resource.MustParse(below))
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionConsolidatable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonDisrupting})
	return c
}

func newSparingLoop(t *testing.T, more ...*corev1.Pod) *loop {
	t.Helper()
	l := newLoop(t, replica("a", "10", onNode("n")), replica("b", "11", onNode("m")), replica("c", "12", onNode("taken")))
	for _, pod := range more {
		if err := l.cfg.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	l.timer = time.NewTimer(time.Hour)
	return l
}

// TestSparingNodesArePlannedForTogether, with what they may cost; one that the cloud takes back
// goes before, by itself.
func TestSparingNodesArePlannedForTogether(t *testing.T) {
	l := newSparingLoop(t)
	for _, c := range []*v1alpha1.NodeClaim{sparingClaim("x", "n", "0.05"), sparingClaim("y", "m", "0.07")} {
		l.observe(event{claim: c})
	}
	taken := interruptedClaim()
	taken.Status.NodeName = "taken"
	l.observe(event{claim: taken})
	l.succeed(time.Now())
	if jobs := l.takeJobs(); len(jobs) != 0 {
		t.Fatalf("%d jobs before the others may have come", len(jobs))
	}
	look(l, time.Minute)
	jobs := l.takeJobs()
	if len(jobs) != 1 || len(jobs[0].batch.below) != 0 {
		t.Fatalf("jobs %v, want a batch for the interrupted node alone", jobs)
	}
	if diff := cmp.Diff(map[types.UID]string{"c/successor": "old"}, jobs[0].batch.succeeds); diff != "" {
		t.Error(diff)
	}
	l.planning = false
	look(l, time.Minute)
	jobs = l.takeJobs()
	if len(jobs) != 1 {
		t.Fatalf("jobs %v, want one batch", jobs)
	}
	if diff := cmp.Diff(map[types.UID]string{"a/successor": "x", "b/successor": "y"}, jobs[0].batch.succeeds); diff != "" {
		t.Error(diff)
	}
	if below := jobs[0].batch.below; len(below) != 2 || below["x"]+below["y"] > 0.1201 || below["x"]+below["y"] < 0.1199 {
		t.Errorf("may cost %v", below)
	}
}

// TestSparingNodeIsGivenUp rather than replaced at any price.
func TestSparingNodeIsGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		pods []*corev1.Pod
		// lost: the claim that was bought for its pods is.
		lost bool
		want string
	}{
		{"a pod has no owner", []*corev1.Pod{waiting("lonely", onNode("n"))}, false, "default/lonely cannot be moved"},
		{
			"pods of several schedulers",
			[]*corev1.Pod{waiting("other", onNode("n"), ownedBy("ReplicaSet", "rs"), func(p *corev1.Pod) { p.Spec.SchedulerName = "other" })},
			false, "default/other cannot be moved",
		},
		{
			"a device of its own",
			[]*corev1.Pod{waiting("gpu", onNode("n"), ownedBy("ReplicaSet", "rs"), func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} })},
			false, "default/gpu claims a volume or a device of its own",
		},
		{"what was bought is lost", nil, true, "is gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newSparingLoop(t, tt.pods...)
			l.observe(event{claim: sparingClaim("x", "n", "0.05")})
			if tt.lost {
				s := l.successions["x"]
				s.begun, s.settled, s.on["a/successor"] = true, true, "new"
			}
			look(l, time.Minute)
			jobs := l.takeJobs()
			if len(jobs) != 1 || jobs[0].replaced == nil || jobs[0].replaced.status != metav1.ConditionFalse || !strings.Contains(jobs[0].replaced.message, tt.want) {
				t.Fatalf("jobs %+v, want the claim to be told that %q", jobs, tt.want)
			}
		})
	}
}
