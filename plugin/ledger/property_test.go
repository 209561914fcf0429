package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

func newQuantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }

// TestInvariants throws random events at a ledger and checks, after each of them, what
// must always hold, and that it holds what a simple model does.
func TestInvariants(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			l := New(Config{TTL: testTTL, MaxReservations: 6})
			m := newModel(6)
			now := time.Unix(0, 0)
			for step := range 300 {
				now = now.Add(time.Duration(rnd.IntN(60)) * time.Second)
				before := snapshot(l)
				name, waits, fx := randomEvent(rnd, l, m, now)
				if err := check(l, before, fx, waits); err != nil {
					t.Fatalf("step %d, %s: %v", step, name, err)
				}
				if name == "expire" {
					if err := m.expire(now, l); err != nil {
						t.Fatalf("step %d, %s: %v", step, name, err)
					}
				}
				if err := m.compare(l); err != nil {
					t.Fatalf("step %d, %s: %v", step, name, err)
				}
			}
		})
	}
}

func snapshot(l *Ledger) map[types.UID]entry {
	m := map[types.UID]entry{}
	for uid, e := range l.pods {
		m[uid] = *e
	}
	return m
}

// randomEvent applies an event. waits says whether the pods that lose their reservation
// by it are still waiting, so that they must be woken.
func randomEvent(rnd *rand.Rand, l *Ledger, m *model, now time.Time) (name string, waits bool, fx Effects) {
	pod := fmt.Sprint("p", rnd.IntN(8))
	uid := types.UID(pod)
	node := fmt.Sprint("n", rnd.IntN(3))
	switch rnd.IntN(12) {
	case 0, 1:
		_, send, _ := l.HandOver(now, testPod(pod, ""))
		if send {
			m.handOver(now, testPod(pod, ""))
		}
		return "hand over " + pod, true, fx
	case 2:
		m.handBack(now, uid)
		return "hand back " + pod, true, l.HandBack(now, uid, "small")
	case 3, 4, 5:
		var updates []Update
		for range 1 + rnd.IntN(3) {
			updates = append(updates, randomUpdate(rnd))
			m.hear(now, updates[len(updates)-1])
		}
		return fmt.Sprint("launcher ", updates), true, l.Apply(now, updates)
	case 6:
		var all []Update
		for range rnd.IntN(4) {
			all = append(all, randomUpdate(rnd))
		}
		m.resync(now, all)
		return fmt.Sprint("resync ", all), true, l.Resync(now, all)
	case 7, 8:
		is := []string{"", "ready", "ready+tainted", "ready+cordoned"}[rnd.IntN(4)]
		claim := []string{"", "", "c0", "c1"}[rnd.IntN(4)]
		if rnd.IntN(2) == 0 {
			is += "+ours"
		}
		m.nodeSeen(now, testNode(node, is, claim))
		return "node " + node + " " + is + " " + claim, true, l.NodeSeen(now, testNode(node, is, claim))
	case 9:
		m.nodeDeleted(node)
		return "node deleted " + node, true, l.NodeDeleted(now, node)
	case 10:
		switch rnd.IntN(7) {
		case 0:
			delete(m.words, uid)
			return "bound " + pod, false, l.Bound(now, uid, node)
		case 1:
			delete(m.words, uid)
			return "deleted " + pod, false, l.Deleted(now, uid)
		case 2:
			m.describe(uid, testPod(pod, ""))
			return "describe " + pod, true, l.Describe(now, testPod(pod, ""))
		case 3:
			m.binding(now, uid, true)
			return "binding started " + pod, true, l.BindingStarted(now, uid, node)
		case 4:
			return "try " + pod, true, l.Try(now, uid)
		case 5:
			return "try failed " + pod, true, l.TryFailed(now, uid)
		default:
			m.binding(now, uid, false)
			return "binding failed " + pod, true, l.BindingFailed(now, uid)
		}
	default:
		return "expire", true, l.Expire(now)
	}
}

func randomUpdate(rnd *rand.Rand) Update {
	pod := fmt.Sprint("p", rnd.IntN(8))
	u := Update{
		Ref:   PodRef{UID: types.UID(pod), Namespace: "ns", Name: pod},
		Phase: Phase(rnd.IntN(int(PhaseEnded) + 1)),
		Claim: fmt.Sprint("c", rnd.IntN(3)),
	}
	if u.Phase == PhaseLaunched || u.Phase == PhaseReady {
		u.Node = fmt.Sprint("n", rnd.IntN(3))
	}
	u.Held = rnd.IntN(4) == 0
	if rnd.IntN(2) == 0 {
		u.Pod = testPod(pod, "")
	}
	return u
}

func check(l *Ledger, before map[types.UID]entry, fx Effects, waits bool) error {
	woken := map[types.UID]bool{}
	for _, w := range fx.Wake {
		woken[w.Pod.UID] = true
	}
	for uid, old := range before {
		e, ok := l.pods[uid]
		if !ok && waits && !woken[uid] {
			return fmt.Errorf("the reservation of %s ended, but it was not woken", uid)
		}
		if ok && old.GateClosed() && !e.GateClosed() && !e.Binding && !woken[uid] {
			return fmt.Errorf("the gate of %s opened, but it was not woken", uid)
		}
	}
	var counts [numStates]int
	holders := map[string][]types.UID{}
	for uid, e := range l.pods {
		counts[e.State]++
		if e.Ref.UID != uid {
			return fmt.Errorf("%s is stored under %s", e.Ref.UID, uid)
		}
		if e.GateClosed() && e.deadline.IsZero() {
			return fmt.Errorf("the gate of %s is closed and no TTL runs", uid)
		}
		if !e.deadline.IsZero() && (l.due.IsZero() || e.deadline.Before(l.due)) {
			return fmt.Errorf("the TTL of %s runs out at %v, unnoticed before %v", uid, e.deadline, l.due)
		}
		if (e.State == Launched || e.State == Ready) != (e.Node != "") {
			return fmt.Errorf("%s is %v with node %q", uid, e.State, e.Node)
		}
		if e.Trying && e.State != Waiting && e.State != Planned && e.State != Launched {
			return fmt.Errorf("%s is %v and tried elsewhere", uid, e.State)
		}
		if e.State == Ready && (e.held || !l.nodes[e.Node].admits(e.Pod, e.initialized)) {
			return fmt.Errorf("%s is Ready on node %s, which does not admit it or is held back", uid, e.Node)
		}
		if e.Node != "" {
			holders[e.Node] = append(holders[e.Node], uid)
		}
	}
	if counts != l.counts {
		return fmt.Errorf("counts are %v, want %v", l.counts, counts)
	}
	registering := 0
	for name, n := range l.nodes {
		if _, got := l.Holders(name); got != (n.Ours && n.Claim == "") {
			return fmt.Errorf("node %+v: registering is %v", n, got)
		} else if got {
			registering++
		}
	}
	if open := registering == 0 && len(holders) == 0; l.Open() != open {
		return fmt.Errorf("open is %v with %d nodes being registered and holders %v", l.Open(), registering, holders)
	}
	if len(holders) != len(l.holders) {
		return fmt.Errorf("%d nodes with holders, want %d", len(l.holders), len(holders))
	}
	for node, want := range holders {
		var got []types.UID
		for _, h := range l.holders[node] {
			got = append(got, h.UID)
			if h.Pod != l.pods[h.UID].Pod {
				return fmt.Errorf("holder %s on %s has an old description", h.UID, node)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("holders of %s are %v, want %v", node, got, want)
		}
	}
	return nil
}
