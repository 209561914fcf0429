package nodeclaim

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestClockJumps: whenever the clock jumps, a claim ends with one instance or with none, and
// none was bought twice. One that the jump has done no harm to is launched.
func TestClockJumps(t *testing.T) {
	const hour = time.Hour
	lost := errors.New("connection reset")
	for _, tt := range []struct {
		name string
		// do drives the claim up to the jump and over it.
		do   func(*world)
		want []string // instances in the end
	}{
		{name: "ahead, before the launch", want: []string{"i-a"}, do: func(w *world) { w.clock.Step(hour) }},
		{name: "back, before the launch", want: []string{"i-a"}, do: func(w *world) { w.clock.SetTime(w.clock.Now().Add(-hour)) }},
		{name: "ahead, while it is launched", want: []string{"i-a"}, do: func(w *world) {
			w.cloud.set(func(f *fakeCloud) { f.during = func() { w.clock.Step(hour) } })
			w.reconcile(w.launch, "a")
			w.cloud.set(func(f *fakeCloud) { f.during = nil })
		}},
		{name: "ahead, after an answer was lost", do: func(w *world) {
			w.cloud.set(func(f *fakeCloud) { f.afterBuy = lost })
			w.reconcile(w.launch, "a")
			w.clock.Step(hour)
			w.cloud.set(func(f *fakeCloud) { f.afterBuy = nil })
		}},
		{name: "back, after an answer was lost", want: []string{"i-a"}, do: func(w *world) {
			w.cloud.set(func(f *fakeCloud) { f.afterBuy = lost })
			w.reconcile(w.launch, "a")
			w.clock.SetTime(w.clock.Now().Add(-hour))
			w.cloud.set(func(f *fakeCloud) { f.afterBuy = nil })
		}},
		{name: "ahead, before it registers", do: func(w *world) {
			w.reconcile(w.launch, "a")
			w.clock.Step(hour)
			w.reconcile(w.join, "a")
		}},
		{name: "back, before it registers", want: []string{"i-a"}, do: func(w *world) {
			w.reconcile(w.launch, "a")
			w.clock.SetTime(w.clock.Now().Add(-hour))
			w.reconcile(w.join, "a")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(nil))
			tt.do(w)
			w.create(newNode(nil))
			for range 10 {
				for _, r := range []func(){
					func() { w.reconcile(w.launch, "a") }, func() { w.reconcile(w.join, "a") }, func() { w.reconcile(w.end, "a") },
				} {
					r()
				}
				w.clock.Step(time.Minute)
			}
			if diff := cmp.Diff(tt.want, w.cloud.ids()); diff != "" {
				t.Errorf("instances (-want +got):\n%s", diff)
			}
			claim := w.claim()
			if kept := claim != nil; kept != (tt.want != nil) {
				t.Errorf("the claim is kept: %v", kept)
			}
			if claim != nil && condition(claim, v1alpha1.ConditionInitialized) != "True Initialized" {
				t.Errorf("conditions %v", claim.Status.Conditions)
			}
		})
	}
}
