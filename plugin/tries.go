package plugin

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// tryElsewhere lets pods through that wait for their node, one of a kind at a time, when
// there may be room for them elsewhere. Their reservation is kept until they are bound. Only
// the process that schedules does so.
func (p *Slipway) tryElsewhere(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.led:
	}
	if p.memory == nil {
		return
	}
	for _, ref := range p.ledger.Pods() {
		p.follow(ref)
	}
	for {
		pods, wait := p.memory.Tries()
		for _, pod := range pods {
			p.try(pod)
		}
		if wait == 0 {
			wait = time.Hour
		}
		timer := p.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-p.memory.Called():
		case <-timer.C():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (p *Slipway) try(pod types.UID) {
	fx := p.ledger.Try(p.clock.Now(), pod)
	if len(fx.Wake) == 0 {
		// Nobody keeps it from being tried by now, or it is being handed over just now.
		p.memory.Fail(pod)
	}
	p.act(fx)
}

// follow keeps the memory in step with a pod's reservation: it knows the pods behind the
// gate, and those that are being tried.
func (p *Slipway) follow(ref ledger.PodRef) {
	if p.memory == nil {
		return
	}
	r, reserved := p.ledger.Get(ref.UID)
	switch {
	case reserved && r.Trying:
	case !reserved || !r.GateClosed():
		p.memory.Leave(ref.UID)
	case !p.memory.Waits(ref.UID):
		// Handed over by an earlier leader. Why it fits nowhere is found out by a try.
		if pod := p.teller.waiting(ref); pod != nil && mayMove(pod) {
			p.memory.Wait(pod, nil)
		}
	}
}

// mayMove reports whether a pod may leave its place for another. Members of a group have
// theirs together.
func mayMove(pod *v1.Pod) bool {
	return pod.Labels[labelPodGroup] == "" && pod.Spec.SchedulingGroup == nil
}

// tried notes that an attempt to schedule a pod has failed.
func (p *Slipway) tried(pod types.UID) {
	r, reserved := p.ledger.Get(pod)
	if !reserved || !r.Trying {
		return
	}
	p.metrics.tries.WithLabelValues(triedInVain).Inc()
	p.act(p.ledger.TryFailed(p.clock.Now(), pod))
	p.memory.Fail(pod)
}
