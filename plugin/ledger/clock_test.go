package ledger

import (
	"fmt"
	"testing"
	"time"
)

// TestClockJumps: after a jump of the clock, in whatever state a pod is, its gate opens by
// the next step of the launcher or its node, or by a TTL that began after the jump. (The
// scheduler's clock is monotonic; this is about one that is not.)
func TestClockJumps(t *testing.T) {
	pod := testPod("a", "")
	launched := Update{Ref: pod.PodRef, Pod: pod, Phase: PhaseLaunched, Claim: "c", Node: "n"}
	states := map[string]func(*Ledger, time.Time){
		"Waiting": func(*Ledger, time.Time) {},
		"Planned": func(l *Ledger, now time.Time) {
			l.Apply(now, []Update{{Ref: launched.Ref, Phase: PhasePlanned, Claim: "c"}})
		},
		"Launched": func(l *Ledger, now time.Time) { l.Apply(now, []Update{launched}) },
		"Ready": func(l *Ledger, now time.Time) {
			l.Apply(now, []Update{launched})
			l.NodeSeen(now, testNode("n", "ready", ""))
		},
	}
	for state, reach := range states {
		for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
			for _, comes := range []bool{true, false} {
				t.Run(fmt.Sprint(state, " ", jump, " node comes ", comes), func(t *testing.T) {
					l := New(Config{TTL: testTTL, MaxReservations: 4})
					now := time.Unix(1e9, 0)
					if _, _, err := l.HandOver(now, pod); err != nil {
						t.Fatal(err)
					}
					reach(l, now)
					if r, _ := l.Get("a"); r.State.String() != state {
						t.Fatalf("the pod is %v", r.State)
					}
					now = now.Add(jump)
					l.Expire(now)
					if comes {
						l.Apply(now, []Update{launched})
						l.NodeSeen(now, testNode("n", "ready", ""))
					} else if jump > 0 {
						if r, ok := l.Get("a"); ok && r.GateClosed() {
							t.Errorf("the gate is closed after %v: %+v", jump, r)
						}
					}
					if r, ok := l.Get("a"); comes && (!ok || r.State != Ready || r.GateClosed()) {
						t.Errorf("the pod is %+v", r)
					}
					// Whatever ran when the clock jumped back is over when the clock is where it was.
					now = now.Add(25*time.Hour + testTTL.Launched)
					l.Expire(now)
					now = now.Add(max(testTTL.Waiting, testTTL.Planned))
					l.Expire(now)
					if r, ok := l.Get("a"); ok {
						t.Errorf("the pod is held for ever: %+v", r)
					}
				})
			}
		}
	}
}
