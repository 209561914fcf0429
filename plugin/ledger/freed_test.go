package ledger

import (
	"testing"
	"time"
)

// TestFreed: room that a pod takes up does not become free, room it leaves does.
func TestFreed(t *testing.T) {
	now := time.Unix(0, 0)
	ended := []Update{{Ref: testPod("p", "").PodRef, Phase: PhaseEnded, Claim: "c"}}
	for _, tc := range []struct {
		name  string
		do    func(l *Ledger)
		freed bool
	}{
		{"bound there", func(l *Ledger) { l.Bound(now, "p", "n") }, false},
		{"bound elsewhere", func(l *Ledger) { l.Bound(now, "p", "m") }, true},
		{"deleted", func(l *Ledger) { l.Deleted(now, "p") }, true},
		{"moved", func(l *Ledger) {
			l.Apply(now, []Update{{Ref: testPod("p", "").PodRef, Phase: PhaseLaunched, Claim: "d", Node: "m"}})
		}, true},
		{"planned anew", func(l *Ledger) { l.Apply(now, []Update{{Ref: testPod("p", "").PodRef, Phase: PhaseWaiting}}) }, true},
		{"handed back", func(l *Ledger) { l.HandBack(now, "p", "small") }, true},
		{"node deleted", func(l *Ledger) { l.NodeDeleted(now, "n") }, true},
		{"late", func(l *Ledger) { l.Expire(now.Add(1e6 * time.Hour)) }, true},
		{"lost", func(l *Ledger) { l.Resync(now, nil) }, true},
		{"being bound", func(l *Ledger) { l.BindingStarted(now, "p", "n"); l.BindingFailed(now, "p") }, false},
		{"ended while it is bound there", func(l *Ledger) { l.BindingStarted(now, "p", "n"); l.Apply(now, ended) }, false},
		{"ended while it is bound elsewhere", func(l *Ledger) { l.BindingStarted(now, "p", "m"); l.Apply(now, ended) }, true},
		{"ended", func(l *Ledger) { l.Apply(now, ended) }, true},
		{"another pod's end", func(l *Ledger) { l.HandOver(now, testPod("q", "")); l.Deleted(now, "q") }, false}, //nolint:errcheck // there is room
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := New(Config{TTL: testTTL, MaxReservations: 6})
			l.Apply(now, []Update{{Ref: testPod("p", "").PodRef, Phase: PhaseLaunched, Claim: "c", Node: "n"}})
			before := l.Freed()
			tc.do(l)
			if freed := l.Freed() > before; freed != tc.freed {
				t.Errorf("freed is %v, want %v", freed, tc.freed)
			}
		})
	}
}
