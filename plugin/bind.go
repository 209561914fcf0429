package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Reserve stops the clock of the pod's reservation: binding may take long. If the pod was
// tried elsewhere, there may be room for another.
func (p *Slipway) Reserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if r, ok := p.ledger.Get(pod.UID); ok && r.Trying {
		p.metrics.tries.WithLabelValues(triedWell).Inc()
	}
	p.act(p.ledger.BindingStarted(p.clock.Now(), pod.UID, node))
	p.follow(podRef(pod))
	return nil
}

// Unreserve starts the clock again.
func (p *Slipway) Unreserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ string) {
	p.act(p.ledger.BindingFailed(p.clock.Now(), pod.UID))
}

// PostBind ends the reservation. One on another node is given back to the launcher.
func (p *Slipway) PostBind(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node string) {
	p.bound(pod, node)
}

func (p *Slipway) bound(pod *v1.Pod, node string) {
	r, reserved := p.ledger.Get(pod.UID)
	if !reserved {
		return
	}
	now := p.clock.Now()
	p.metrics.firstSeenToBound.Observe(now.Sub(r.Since).Seconds())
	if r.Node == node && !r.ReadyAt.IsZero() {
		p.metrics.readyToBound.Observe(now.Sub(r.ReadyAt).Seconds())
	}
	p.launcher.Drop(pod.UID)
	p.act(p.ledger.Bound(now, pod.UID, node))
}
