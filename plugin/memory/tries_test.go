package memory

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

// fits is a plugin for which pods that end and nodes that come make room, if they are large.
type fits struct{}

func (fits) Name() string { return "Fits" }

func (fits) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	large := func(_ klog.Logger, _ *v1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
		if p, ok := oldObj.(*v1.Pod); ok && p.Name != "large" {
			return fwk.QueueSkip, nil
		}
		return fwk.Queue, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete}, QueueingHintFn: large},
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}, QueueingHintFn: large},
	}, nil
}

var (
	podEnds    = change{event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete}, old: st.MakePod().Name("large").Obj()}
	tinyEnds   = change{event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete}, old: st.MakePod().Name("tiny").Obj()}
	nodeJoins  = change{event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}, new: st.MakeNode().Name("n").Obj()}
	claimBound = change{event: fwk.ClusterEvent{Resource: fwk.PersistentVolumeClaim, ActionType: fwk.Update}}
)

// waiters is a memory of pods that wait, of some shapes, each refused by Fits.
type waiters struct {
	*Memory
	t     *testing.T
	clock *clocktesting.FakeClock
	freed uint64
}

func newWaiters(t *testing.T, shapes, each int) *waiters {
	t.Helper()
	w := &waiters{t: t, clock: clocktesting.NewFakeClock(time.Unix(1e9, 0))}
	m, err := New(Config{
		Clock: w.clock, Extensions: map[string][]fwk.EnqueueExtensions{"": {fits{}}}, Guard: "Guard",
		Freed: func() uint64 { return w.freed }, Observe: func(Result, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Memory = m
	for s := range shapes {
		for i := range each {
			w.refuse(waiter(s, i), "Fits")
		}
	}
	return w
}

func waiter(shape, i int) *v1.Pod {
	name := fmt.Sprint(shape, "-", i)
	return st.MakePod().Namespace("ns").Name(name).UID(name).Priority(int32(shape)).Obj()
}

// refuse has a pod looked at in vain; during are changes that happen meanwhile.
func (w *waiters) refuse(pod *v1.Pod, by string, during ...change) {
	w.Begin()
	for _, c := range during {
		w.changed(c)
	}
	w.Wait(pod, &framework.FitError{Pod: pod, Diagnosis: framework.Diagnosis{UnschedulablePlugins: sets.New(by)}})
	w.End()
}

// tries checks how many pods are to be tried now, and when the next are.
func (w *waiters) tries(what string, n int, then time.Duration) []types.UID {
	w.t.Helper()
	pods, wait := w.Tries()
	if len(pods) != n || wait != then {
		w.t.Errorf("%s: tried are %v and others in %v, want %d and %v", what, pods, wait, n, then)
	}
	return pods
}

// TestTries: upon which changes, and when, a pod of a thousand is tried.
func TestTries(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *waiters)
		// now is how many pods are tried at once, then is when others are.
		now  int
		then time.Duration
	}{
		{name: "nothing happens", do: func(*waiters) {}},
		{name: "a pod ends", do: func(w *waiters) { w.changed(podEnds) }, now: 1},
		{name: "many end", do: func(w *waiters) {
			for range 100 {
				w.changed(podEnds)
			}
		}, now: 1},
		{name: "one ends that the hint thinks too small", do: func(w *waiters) { w.changed(tinyEnds) }},
		{name: "something that its plugins do not read", do: func(w *waiters) { w.changed(claimBound) }},
		{name: "a node joins", do: func(w *waiters) { w.changed(nodeJoins) }, then: grace},
		{name: "a pod's nomination moves", do: func(w *waiters) {
			moves := podEnds
			moves.some = true
			w.changed(moves)
		}, then: grace},
		{name: "a node joins and a pod ends", do: func(w *waiters) { w.changed(nodeJoins); w.changed(podEnds) }, now: 1},
		{name: "a pod ends while one is looked at", do: func(w *waiters) { w.refuse(waiter(0, 1000), "Fits", podEnds) }, now: 1},
		{name: "a pod ended before one was looked at", do: func(w *waiters) {
			w.Begin()
			w.changed(podEnds)
			w.tries("before", 1, 0)
			w.refuse(waiter(0, 1000), "Fits")
		}},
		{name: "promised room is freed, which kept nobody out", do: func(w *waiters) { w.RoomFreed() }},
		{name: "promised room is freed", do: func(w *waiters) { w.refuse(waiter(0, 0), "Guard"); w.RoomFreed() }, then: grace},
		{name: "why one waits is not known", do: func(w *waiters) { w.Wait(waiter(1, 0), nil) }, then: unknown},
		{name: "the pods leave", do: func(w *waiters) {
			for i := range 1000 {
				w.Leave(waiter(0, i).UID)
			}
			w.changed(podEnds)
		}},
		{name: "one is tried already", do: func(w *waiters) {
			w.changed(podEnds)
			w.tries("first", 1, 0)
			w.changed(podEnds)
		}},
		{name: "the try fails", do: func(w *waiters) {
			w.changed(podEnds)
			w.Fail(w.tries("first", 1, 0)[0])
		}},
		{name: "the try fails and another pod ends", do: func(w *waiters) {
			w.changed(podEnds)
			w.Fail(w.tries("first", 1, 0)[0])
			w.changed(podEnds)
		}, then: rest},
		{name: "another pod ends during a try that fails", do: func(w *waiters) {
			w.changed(podEnds)
			pod := w.tries("first", 1, 0)[0]
			w.changed(podEnds)
			w.Fail(pod)
			w.clock.Step(rest)
		}, now: 1},
		{name: "the try succeeds", do: func(w *waiters) {
			w.changed(podEnds)
			w.Leave(w.tries("first", 1, 0)[0])
		}, now: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWaiters(t, 1, 1000)
			tc.do(w)
			w.tries("then", tc.now, tc.then)
		})
	}
}

// TestTriesOfManyShapes: one pod of each shape is tried, and no more shapes than are kept.
func TestTriesOfManyShapes(t *testing.T) {
	w := newWaiters(t, maxLines+10, 2)
	w.changed(podEnds)
	select {
	case <-w.Called():
	default:
		t.Error("nobody is called")
	}
	tried := w.tries("a pod ends", maxLines, 0)
	for _, pod := range tried {
		w.Leave(pod)
	}
	for _, pod := range w.tries("the second of each", maxLines, 0) {
		w.Leave(pod)
	}
	if len(w.lines) > 0 || len(w.inLine) > 0 {
		t.Errorf("%d lines and %d pods are kept", len(w.lines), len(w.inLine))
	}
}
