package plugin

import (
	"context"
	"errors"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/courier"
	"github.com/slipway-dev/slipway/plugin/ledger"
)

// fullLauncher is one that has no room for another pod.
type fullLauncher struct{ unreachable }

func (fullLauncher) Reserve(*v1.Pod) error { return courier.ErrQueueFull }

// TestRemembering: which pods are refused from memory, once their like was refused.
func TestRemembering(t *testing.T) {
	for _, tc := range []struct {
		name       string
		change     func(*v1.Pod)
		prepare    func(l *lab)
		flushed    bool
		fromMemory bool
	}{
		{name: "a new pod", fromMemory: true},
		{name: "a new pod of another kind", change: func(p *v1.Pod) { p.Spec.Priority = new(int32(5)) }},
		{name: "one with a reservation", prepare: func(l *lab) {
			l.plugin.Apply([]ledger.Update{update("b", ledger.PhaseUnlaunchable, "too large")})
		}},
		{name: "one that is nominated", change: func(p *v1.Pod) { p.Status.NominatedNodeName = "n" }},
		{name: "a DaemonSet's", change: func(p *v1.Pod) { ofDaemonSet(p) }},
		{name: "one that the queue thinks has waited for too long", flushed: true},
		{name: "one that cannot be handed over", prepare: func(l *lab) { l.plugin.launcher = fullLauncher{} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.addNode(node("n", "1"))
			looked := 0
			look := l.plugin.remembering(l.memory, func(ctx context.Context, f framework.Framework, state fwk.CycleState, info *framework.QueuedPodInfo) (scheduler.ScheduleResult, error) {
				looked++
				return l.full(ctx, f, state, info)
			})
			refused := func(p *v1.Pod, flushed bool) (fwk.CycleState, *framework.FitError) {
				t.Helper()
				l.memory.Begin()
				l.snapshot()
				pi, err := framework.NewPodInfo(p)
				if err != nil {
					t.Fatal(err)
				}
				state := framework.NewCycleState()
				_, err = look(l.ctx, l.fw, state, &framework.QueuedPodInfo{PodInfo: pi, WasFlushedFromUnschedulable: flushed})
				var fit *framework.FitError
				if !errors.As(err, &fit) {
					t.Fatalf("pod %s: %v", p.Name, err)
				}
				return state, fit
			}
			_, first := refused(pod("a", "2").Obj(), false)

			b := pod("b", "2").Obj()
			if tc.change != nil {
				tc.change(b)
			}
			l.addPod(b)
			if tc.prepare != nil {
				tc.prepare(l)
			}
			looked = 0
			state, again := refused(b, tc.flushed)
			if fromMemory := looked == 0; fromMemory != tc.fromMemory {
				t.Fatalf("from memory is %v, want %v", fromMemory, tc.fromMemory)
			}
			if !tc.fromMemory {
				return
			}
			if again.Error() != first.Error() || !again.Diagnosis.UnschedulablePlugins.Equal(first.Diagnosis.UnschedulablePlugins) {
				t.Errorf("refused with %v %q, the first with %v %q", again.Diagnosis.UnschedulablePlugins, again, first.Diagnosis.UnschedulablePlugins, first)
			}
			if r, ok := l.plugin.ledger.Get("b"); !ok || r.State != ledger.Waiting {
				t.Errorf("reservation %+v, want one that waits", r)
			}
			// Preemption would miss what PreFilter leaves, whatever the launcher answers.
			l.plugin.Apply([]ledger.Update{update("b", ledger.PhaseUnlaunchable, "too large")})
			if _, s := l.fw.RunPostFilterPlugins(l.ctx, state, b, again.Diagnosis.NodeToStatus); !s.IsSuccess() {
				t.Errorf("PostFilter: %v", s)
			}
		})
	}
}

// TestNoMemory: where a plugin is asked before ours about pods that fit nowhere, nothing
// is remembered.
func TestNoMemory(t *testing.T) {
	l := newLab(t)
	l.sched.Profiles[SchedulerName] = preemptsFirst{l.fw}
	if m, err := l.plugin.newMemory(l.sched); m != nil || err != nil {
		t.Errorf("memory %v, error %v", m, err)
	}
}

type preemptsFirst struct{ framework.Framework }

func (p preemptsFirst) ListPlugins() *schedulerconfig.Plugins {
	plugins := p.Framework.ListPlugins()
	slices.Reverse(plugins.PostFilter.Enabled)
	return plugins
}
