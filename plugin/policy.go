package plugin

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/ledger"
)

// delayAnnotation on a pod is how long, from its creation, it waits for room before a node
// is launched for it. Owners set it in their pods' template.
const delayAnnotation = "slipway.dev/launch-delay"

// policy says what is done for a pod that fits nowhere, and when.
type policy struct {
	// rules are the arguments that each profile has of its own, by its name.
	rules map[string]*config.SlipwayArgs

	// undecided pods may yet preempt others, in the attempt that is under way.
	undecided sync.Map
	// due are pods for which a node may be launched from some time on.
	due workqueue.TypedDelayingInterface[ledger.PodRef]
}

func newPolicy(clk clock.WithTicker) *policy {
	return &policy{
		rules: map[string]*config.SlipwayArgs{},
		due:   workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[ledger.PodRef]{Clock: clk}),
	}
}

// orderOf says what is tried first for a pod.
func (p *policy) orderOf(pod *v1.Pod) config.Order {
	rules := p.rules[pod.Spec.SchedulerName]
	if order, ok := rules.OrderByPriorityClass[pod.Spec.PriorityClassName]; ok {
		return order
	}
	return rules.Order
}

// dueAt is when a node may be launched for a pod. An annotation that is no duration is
// treated as none; note says so.
func (p *policy) dueAt(pod *v1.Pod) (at time.Time, note string) {
	delay := p.rules[pod.Spec.SchedulerName].LaunchDelay.Duration
	if s, ok := pod.Annotations[delayAnnotation]; ok {
		switch d, err := time.ParseDuration(s); {
		case err != nil || d < 0:
			note = fmt.Sprintf(" (annotation %s is %q, which is no duration such as 90s)", delayAnnotation, s)
		default:
			delay = d
		}
	}
	return pod.CreationTimestamp.Add(delay), note
}

// launchesAtOnce tells whether a pod is handed over as soon as it fits nowhere.
func (p *Slipway) launchesAtOnce(pod *v1.Pod) bool {
	at, _ := p.policy.dueAt(pod)
	return p.policy.orderOf(pod) == config.LaunchFirst && !p.clock.Now().Before(at)
}

// first decides what is done for a pod that fits nowhere and is not known to the launcher.
func (p *Slipway) first(pod *v1.Pod) (*fwk.PostFilterResult, *fwk.Status) {
	order := p.policy.orderOf(pod)
	if order == config.NeverLaunch {
		return nil, p.leaveIt("no node is launched for this pod, as the scheduler's configuration has it: it waits for room")
	}
	if at, note := p.policy.dueAt(pod); p.clock.Now().Before(at) {
		p.policy.due.AddAfter(podRef(pod), at.Sub(p.clock.Now()))
		return nil, p.leaveIt("waiting for room; a node is launched for this pod from " + clockTime(at) + note)
	}
	if order == config.PreemptFirst {
		p.policy.undecided.Store(pod.UID, nil)
		return nil, p.leaveIt("a node is launched for this pod if it can preempt no others")
	}
	return p.handOver(pod)
}

// decide hands a pod over that could have preempted others, and found none.
func (p *Slipway) decide(pod *v1.Pod, status *fwk.Status, nominating *fwk.NominatingInfo) {
	if _, ok := p.policy.undecided.LoadAndDelete(pod.UID); !ok || !status.IsRejected() {
		return
	}
	if nominating.Mode() == fwk.ModeOverride && nominating.NominatedNodeName != "" {
		return // there will be room
	}
	p.handOver(pod)
}

// wakeDue has the scheduler look at pods again when a node may be launched for them.
func (p *Slipway) wakeDue(ctx context.Context) {
	defer context.AfterFunc(ctx, p.policy.due.ShutDown)()
	for {
		ref, shutdown := p.policy.due.Get()
		if shutdown {
			return
		}
		p.handle.Activate(klog.FromContext(ctx), map[string]*v1.Pod{ref.Namespace + "/" + ref.Name: named(ref)})
		p.policy.due.Done(ref)
	}
}
