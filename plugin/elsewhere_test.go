package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// TestTriedElsewhere: what comes of a try, while the pod's own node n1 is being launched.
func TestTriedElsewhere(t *testing.T) {
	const waits = "Success: node n1 is being launched for this pod (claim c1)"
	for _, tc := range []struct {
		name    string
		prepare func(*world)
		want    string
	}{
		{name: "there is room", want: "node n0"},
		{
			name: "the room is promised to another",
			prepare: func(w *world) {
				w.exists(pod("b", "1").Obj())
				w.plugin.Apply([]ledger.Update{launched("b", "c0", "n0")})
			},
			want: waits,
		},
		{
			name:    "there is none",
			prepare: func(w *world) { w.nodes(nil, node("n0", "1")) },
			want:    waits,
		},
		{
			name:    "its own node is ready meanwhile",
			prepare: func(w *world) { w.nodes(nil, node("n0", "2"), node("n1", "2")) },
			want:    "node n1",
		},
		{
			name: "the launcher takes the node back meanwhile",
			prepare: func(w *world) {
				w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseWaiting, "")})
			},
			want: "Success: waiting for the launcher to plan a node for this pod",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			a := pod("a", "2").Obj()
			w.exists(a)
			w.plugin.lead()
			w.nodes(nil, node("n0", "2"))
			w.plugin.Apply([]ledger.Update{launched("a", "c1", "n1")})
			w.want("behind the gate", w.schedule(a), waits)
			w.wantLog()
			w.plugin.act(w.plugin.ledger.Try(w.clock.Now(), "a"))
			w.wantLog("activate a")
			if tc.prepare != nil {
				tc.prepare(w)
			}
			w.took()
			w.want("outcome", w.schedule(a), tc.want)
			w.wantLog()
		})
	}
}

// TestDaemonsComeFirst: a DaemonSet's pod goes to its node although the room there is
// promised, and nominated, to others of its priority.
func TestDaemonsComeFirst(t *testing.T) {
	w := newWorld(t)
	w.plugin.lead()
	a := pod("a", "2").NominatedNodeName("n1").Obj()
	w.exists(a)
	w.plugin.Apply([]ledger.Update{launched("a", "c1", "n1")})
	w.queue.Add(w.ctx, a)
	w.nodes(nil, node("n1", "3"))
	daemon := ofDaemonSet(pod("d", "2").Obj())
	b := pod("b", "2").Obj()
	w.exists(b)
	w.want("another pod", w.schedule(b), handedOver)
	daemon.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{"n1"}}}}},
	}}}
	w.want("the DaemonSet's pod", w.schedule(daemon), "node n1")
}
