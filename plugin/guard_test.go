package plugin

import (
	"encoding/json"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

func TestGuard(t *testing.T) {
	daemon := ofDaemonSet(pod("b", "2").Obj())
	for _, tc := range []struct {
		name    string
		pod     *v1.Pod
		holders []*v1.Pod
		pods    []*v1.Pod // on the node
		fits    bool
	}{
		{name: "enough is left", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "2").Obj()}, fits: true},
		{name: "too little is left", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "3").Obj()}},
		{name: "higher priority", pod: pod("b", "2").Priority(1).Obj(), holders: []*v1.Pod{pod("h", "3").Obj()}, fits: true},
		{name: "lower priority", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "3").Priority(1).Obj()}},
		{name: "a holder that is assumed already", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "2").Obj()},
			pods: []*v1.Pod{pod("h", "2").Node("n").Obj()}, fits: true},
		{name: "other holders beside it", pod: pod("b", "2").Obj(), holders: []*v1.Pod{pod("h", "1").Obj(), pod("i", "2").Obj()},
			pods: []*v1.Pod{pod("h", "1").Node("n").Obj()}},
		{name: "a DaemonSet's pod", pod: daemon, holders: []*v1.Pod{pod("h", "4").Obj()}, fits: true},
		{name: "nothing is requested", pod: st.MakePod().Namespace("ns").Name("b").UID("b").SchedulerName(SchedulerName).Obj(), holders: []*v1.Pod{pod("h", "4").Obj()}, fits: true},
		{name: "the number of pods", pod: st.MakePod().Namespace("ns").Name("b").UID("b").SchedulerName(SchedulerName).Obj(), holders: []*v1.Pod{
			pod("1", "0").Obj(), pod("2", "0").Obj(), pod("3", "0").Obj(), pod("4", "0").Obj(), pod("5", "0").Obj(),
			pod("6", "0").Obj(), pod("7", "0").Obj(), pod("8", "0").Obj(), pod("9", "0").Obj(), pod("10", "0").Obj(),
		}},
		{name: "another resource", pod: pod("b", "1").Req(map[v1.ResourceName]string{"example.com/gpu": "1"}).Obj(),
			holders: []*v1.Pod{st.MakePod().Namespace("ns").Name("h").UID("h").SchedulerName(SchedulerName).Req(map[v1.ResourceName]string{"example.com/gpu": "1"}).Obj()}},
		{name: "a host port", pod: pod("b", "1").HostPort(80).Obj(), holders: []*v1.Pod{pod("h", "1").HostPort(80).Obj()}},
		{name: "another host port", pod: pod("b", "1").HostPort(81).Obj(), holders: []*v1.Pod{pod("h", "1").HostPort(80).Obj()}, fits: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.exists(tc.pod)
			w.exists(tc.holders...)
			var updates []ledger.Update
			for _, h := range tc.holders {
				updates = append(updates, launched(h.Name, "c", "n"))
			}
			w.plugin.Apply(updates)
			n := node("n", "4")
			n.Status.Allocatable["example.com/gpu"] = resource.MustParse("1")
			w.nodes(tc.pods, n)
			got := w.schedule(tc.pod)
			if fits := got.Node == "n"; fits != tc.fits {
				t.Errorf("fits is %v, want %v: %v", fits, tc.fits, got)
			}
		})
	}
}

// TestSignatures: pods that Filter treats alike may share results, others may not.
func TestSignatures(t *testing.T) {
	w := newWorld(t)
	sign := func(pod *v1.Pod) string {
		fragments, s := w.plugin.SignPod(w.ctx, pod)
		if !s.IsSuccess() {
			t.Fatal(s)
		}
		data, err := json.Marshal(fragments)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	w.plugin.Apply([]ledger.Update{launched("h", "c", "n"), launched("i", "c", "n"), launched("j", "c", "m")})
	same := [][2]*v1.Pod{
		{pod("a", "1").Obj(), pod("b", "1").Obj()},
		{pod("h", "1").Obj(), pod("i", "1").Obj()},
	}
	for _, pair := range same {
		if sign(pair[0]) != sign(pair[1]) {
			t.Errorf("%s and %s differ", pair[0].Name, pair[1].Name)
		}
	}
	different := [][2]*v1.Pod{
		{pod("a", "1").Obj(), pod("h", "1").Obj()},
		{pod("h", "1").Obj(), pod("j", "1").Obj()},
		{pod("a", "1").Obj(), pod("b", "1").Priority(1).Obj()},
		{pod("a", "1").Obj(), ofDaemonSet(pod("b", "1").Obj())},
	}
	for _, pair := range different {
		if sign(pair[0]) == sign(pair[1]) {
			t.Errorf("%s and %s are alike", pair[0].Name, pair[1].Name)
		}
	}
}
