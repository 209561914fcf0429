package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/memory"
)

// collectedKey marks the cycle of a pod that was refused from memory and handed over at
// once. No PreFilter has run in it.
const collectedKey = "Collected" + Name

type collected struct{}

// Clone implements fwk.StateData.
func (c collected) Clone() fwk.StateData { return c }

// newMemory returns the memory of a scheduler, listening to its queue. It leaves out
// profiles in which the plugin is not the first to be asked about pods that fit nowhere:
// the plugins before it would miss what PreFilter leaves for them. Without any it is nil.
func (p *Slipway) newMemory(sched *scheduler.Scheduler) (*memory.Memory, error) {
	extensions := map[string][]fwk.EnqueueExtensions{}
	for name, f := range sched.Profiles {
		if asked := f.ListPlugins().PostFilter.Enabled; len(asked) > 0 && asked[0].Name == Name {
			extensions[name] = f.EnqueueExtensions()
		}
	}
	if len(extensions) == 0 {
		return nil, nil
	}
	core := p.handle.SharedInformerFactory().Core().V1()
	m, err := memory.New(memory.Config{
		Clock:      p.clock,
		Namespaces: core.Namespaces().Lister(),
		Nodes:      core.Nodes().Lister(),
		Extensions: extensions,
		Guard:      Name,
		Freed:      p.ledger.Freed,
		Observe:    p.metrics.remembered,
	})
	if err != nil {
		return nil, err
	}
	listening := memory.NewQueue(sched.SchedulingQueue, m)
	sched.SchedulingQueue = listening
	for _, f := range sched.Profiles {
		f.SetPodNominator(listening)
	}
	p.memory = m
	return m, nil
}

// remembering refuses and hands over a pod whose like was refused just before, without
// another look at the nodes. It does so for pods that PostFilter would hand over for the
// first time only: nobody needs what PreFilter would have left for the others. The memory
// knows of every pod that fits nowhere, until the failure handler finds that it does not
// wait for a node (follow).
func (p *Slipway) remembering(m *memory.Memory, next schedulePod) schedulePod {
	return func(ctx context.Context, f framework.Framework, state fwk.CycleState, info *framework.QueuedPodInfo) (scheduler.ScheduleResult, error) {
		defer m.End()
		if !m.Knows(f.ProfileName()) {
			return next(ctx, f, state, info)
		}
		isNew := p.isNew(info)
		if isNew {
			if refusal, ok := m.Recall(info.Pod); ok && p.collect(info.Pod) {
				waits(m, info.Pod, refusal)
				state.Write(collectedKey, collected{})
				return scheduler.ScheduleResult{}, refusal
			}
		}
		result, err := next(ctx, f, state, info)
		if refusal, ok := err.(*framework.FitError); ok { //nolint:errorlint // as the scheduler does
			if isNew {
				m.Record(info.Pod, refusal, p.handle.SnapshotSharedLister().NodeInfos())
			}
			if refusal.Diagnosis.NodeToStatus.Get("").Plugin() == Name {
				refusal = nil // by PreFilter, which looks at no node
			}
			waits(m, info.Pod, refusal)
		}
		return result, err
	}
}

func waits(m *memory.Memory, pod *v1.Pod, refusal *framework.FitError) {
	if mayMove(pod) {
		m.Wait(pod, refusal)
	}
}

// isNew reports whether PostFilter would hand the pod over for the first time. A pod that
// the queue brings up because it has waited for long is looked at in full.
func (p *Slipway) isNew(info *framework.QueuedPodInfo) bool {
	pod := info.Pod
	if info.WasFlushedFromUnschedulable || pod.Status.NominatedNodeName != "" || pod.Spec.SchedulingGroup != nil || isDaemon(pod) {
		return false
	}
	_, reserved := p.ledger.Get(pod.UID)
	return !reserved && p.launchesAtOnce(pod)
}

// collect hands a pod over. If that fails, the pod is left to the full cycle.
func (p *Slipway) collect(pod *v1.Pod) bool {
	p.lead()
	_, status := p.handOver(pod)
	return status.IsSuccess()
}
