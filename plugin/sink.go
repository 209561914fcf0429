package plugin

import "github.com/slipway-dev/slipway/plugin/ledger"

// Resync implements courier.Sink.
func (p *Slipway) Resync(all []ledger.Update) {
	p.act(p.ledger.Resync(p.clock.Now(), p.describePods(all)))
	p.endBound(all)
	p.syncOnce.Do(func() { close(p.synced) })
}

// Apply implements courier.Sink.
func (p *Slipway) Apply(updates []ledger.Update) {
	p.act(p.ledger.Apply(p.clock.Now(), p.describePods(updates)))
	p.endBound(updates)
}

// endBound ends the reservations of pods that were bound while an update on them was taken
// in: that found no reservation to end, and no other event will come. The informer's store
// is updated before its handlers are told.
func (p *Slipway) endBound(updates []ledger.Update) {
	for _, u := range updates {
		pod, err := p.pods.Pods(u.Ref.Namespace).Get(u.Ref.Name)
		if err == nil && pod.UID == u.Ref.UID && pod.Spec.NodeName != "" {
			p.bound(pod, pod.Spec.NodeName)
		}
	}
}

// describePods adds what is known of the pods, and leaves those out that need no
// reservation any more.
func (p *Slipway) describePods(updates []ledger.Update) []ledger.Update {
	described := make([]ledger.Update, 0, len(updates))
	for _, u := range updates {
		if r, ok := p.ledger.Get(u.Ref.UID); !ok || r.Pod == nil {
			pod, err := p.pods.Pods(u.Ref.Namespace).Get(u.Ref.Name)
			if err == nil && pod.UID == u.Ref.UID {
				if pod.Spec.NodeName != "" {
					continue
				}
				u.Pod = podOf(pod)
			}
		}
		described = append(described, u)
	}
	return described
}
