package plugin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// TestTelling: nominations and events follow the ledger.
func TestTelling(t *testing.T) {
	w := newWorld(t)
	a := pod("a", "1").Obj()
	w.exists(a)
	ref := ledger.PodRef{UID: "a", Namespace: "ns", Name: "a"}
	sync := func() []string {
		t.Helper()
		w.client.ClearActions()
		if err := w.plugin.teller.sync(w.ctx, ref); err != nil {
			t.Fatal(err)
		}
		var did []string
		for _, action := range w.client.Actions() {
			patch, ok := action.(clienttesting.PatchAction)
			if !ok || action.GetSubresource() != "status" {
				t.Fatalf("unexpected request: %v", action)
			}
			did = append(did, string(patch.GetPatch()))
			updated, err := w.client.CoreV1().Pods("ns").Get(w.ctx, "a", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.factory.Core().V1().Pods().Informer().GetIndexer().Update(updated); err != nil {
				t.Fatal(err)
			}
		}
		for len(w.events.Events) > 0 {
			did = append(did, <-w.events.Events)
		}
		return did
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"nothing to tell", func() {}, nil},
		{"unlaunchable", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: too large"}},
		{"the same again", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "too large")}) }, nil},
		{"for another reason", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseUnlaunchable, "limit")}) },
			[]string{"Warning Unlaunchable no node can be launched for this pod: limit"}},
		{"launched", func() { w.plugin.Apply([]ledger.Update{launched("a", "c1", "i-1")}) }, []string{
			`{"metadata":{"uid":"a"},"status":{"nominatedNodeName":"i-1"}}`,
			"Normal Reserved node i-1 (t3.medium, us-east-1a, on-demand, $0.0416/h) is being launched for this pod (claim c1)",
		}},
		{"ready", func() { w.plugin.nodeSeen(node("i-1", "1")) }, nil},
		{"ended", func() { w.plugin.Apply([]ledger.Update{update("a", ledger.PhaseEnded, "")}) },
			[]string{`{"metadata":{"uid":"a"},"status":{"nominatedNodeName":null}}`}},
		{"nothing more", func() {}, nil},
	} {
		step.do()
		if diff := cmp.Diff(step.want, sync()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	if n := len(w.plugin.teller.told); n != 0 {
		t.Errorf("%d pods are remembered for ever", n)
	}
}
