package reallocate

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	failures := func(n int, ago time.Duration) tally { return tally{n, now.Add(-ago)} }
	for _, tt := range []struct {
		name   string
		vitals vitals
		want   verdict // but for its message
	}{
		{name: "no node"},
		{name: "all well", vitals: vitals{nodes: 10}},
		{name: "the only node", vitals: vitals{nodes: 1, unhealthy: 1}},
		{name: "one of two", vitals: vitals{nodes: 2, unhealthy: 1}},
		{name: "both", vitals: vitals{nodes: 2, unhealthy: 2}, want: verdict{reason: reasonManyUnhealthy}},
		{name: "one of three", vitals: vitals{nodes: 3, unhealthy: 1}},
		{name: "two of five", vitals: vitals{nodes: 5, unhealthy: 2}, want: verdict{reason: reasonManyUnhealthy}},
		{name: "20 %", vitals: vitals{nodes: 100, unhealthy: 20}},
		{name: "21 %", vitals: vitals{nodes: 100, unhealthy: 21}, want: verdict{reason: reasonManyUnhealthy}},
		{name: "two failed", vitals: vitals{nodes: 10, tally: failures(2, time.Minute)}},
		{name: "three failed", vitals: vitals{nodes: 10, tally: failures(3, time.Minute)}, want: verdict{reason: reasonReplacementsFail, wait: 29 * time.Minute}},
		{name: "three failed, the last half an hour ago", vitals: vitals{nodes: 10, tally: failures(3, pauseAfterFailure)}},
		{name: "both reasons", vitals: vitals{nodes: 10, unhealthy: 3, tally: failures(3, time.Minute)}, want: verdict{reason: reasonManyUnhealthy}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.vitals.judge(now)
			if (got.message == "") != (got.reason == "") {
				t.Errorf("reason %q says %q", got.reason, got.message)
			}
			got.message = ""
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestTally: N is a node that comes, f a failure, a dot 20 minutes, and a colon three hours.
func TestTally(t *testing.T) {
	for _, tt := range []struct {
		story string
		open  bool
	}{
		{"", false}, {"ff", false}, {"fff", true}, {"ffff", true}, {"ffNf", false}, {"fffN", false}, {"fffNff", false}, {"Nfff", true},
		{"f.f.f", true}, {"fff.", true}, {"fff..", false},
		{"fff..f", true}, // it was tried once more
		{"ff:.f", false}, {"ff:.ff", false}, {"f:f:f", true},
	} {
		t.Run(tt.story, func(t *testing.T) {
			var all tallies
			now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			for _, happens := range tt.story {
				switch happens {
				case 'f':
					all.note("pool", nodeFailed, now)
				case 'N':
					all.note("pool", nodeCame, now)
				case '.':
					now = now.Add(20 * time.Minute)
				case ':':
					now = now.Add(failuresWithin)
				}
				all.note("another", nodeFailed, now)
			}
			if got := (vitals{tally: all.of("pool", tally{})}).judge(now).reason != ""; got != tt.open {
				t.Errorf("open: %v", got)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	with := func(kind string, status metav1.ConditionStatus, reason string) func(*v1alpha1.NodeClaim) {
		return func(c *v1alpha1.NodeClaim) {
			meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason})
		}
	}
	unregistered := with(v1alpha1.ConditionRegistered, metav1.ConditionFalse, v1alpha1.ReasonRegistrationTimeout)
	kept := with(v1alpha1.ConditionDrifted, metav1.ConditionTrue, reasonNotReplaced)
	replaces := func(c *v1alpha1.NodeClaim) { c.Spec.Replaces = []string{"old"} }
	for _, tt := range []struct {
		name     string
		was, and func(*v1alpha1.NodeClaim)
		want     outcome
	}{
		{name: "launched", and: with(v1alpha1.ConditionLaunched, metav1.ConditionTrue, "Launched")},
		{name: "initialized", and: with(v1alpha1.ConditionInitialized, metav1.ConditionTrue, "Initialized"), want: nodeCame},
		{name: "replacement initialized", was: replaces, and: with(v1alpha1.ConditionInitialized, metav1.ConditionTrue, "Initialized"), want: nodeCame},
		{name: "never registered", and: unregistered, want: nodeFailed},
		{name: "never ready", and: with(v1alpha1.ConditionInitialized, metav1.ConditionFalse, v1alpha1.ReasonInitializationTimeout), want: nodeFailed},
		{name: "seen again", was: unregistered, and: func(*v1alpha1.NodeClaim) {}},
		{name: "no capacity", and: with(v1alpha1.ConditionLaunched, metav1.ConditionFalse, v1alpha1.ReasonInsufficientCapacity)},
		{name: "replacement never registered", was: replaces, and: unregistered}, // the replaced one tells
		{name: "not replaced in time", and: kept, want: nodeFailed},
		{name: "still not replaced", was: kept, and: func(*v1alpha1.NodeClaim) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			was := &v1alpha1.NodeClaim{}
			if tt.was != nil {
				tt.was(was)
			}
			is := was.DeepCopy()
			tt.and(is)
			if got := outcomeOf(was, is); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPausedReasons(t *testing.T) {
	for _, tt := range []struct {
		reason string // of the condition
		status metav1.ConditionStatus
		stops  string // the reasons of disruption that it stops
	}{
		{reasonManyUnhealthy, metav1.ConditionTrue, "Drifted Expired Underutilized Unhealthy"},
		{reasonReplacementsFail, metav1.ConditionTrue, "Drifted Expired Underutilized"},
		{reasonDisruptionAllowed, metav1.ConditionFalse, ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			pool := newPool(func(p *v1alpha1.NodePool) {
				p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDisruptionPaused, Status: tt.status, Reason: tt.reason}}
			})
			var stops []string
			for _, r := range []v1alpha1.DisruptionReason{
				v1alpha1.ReasonDrifted, v1alpha1.ReasonEmpty, v1alpha1.ReasonExpired, v1alpha1.ReasonUnderutilized, v1alpha1.ReasonUnhealthy,
			} {
				if paused(pool, r) != "" {
					stops = append(stops, string(r))
				}
			}
			if got := strings.Join(stops, " "); got != tt.stops {
				t.Errorf("stops %q, want %q", got, tt.stops)
			}
		})
	}
}
