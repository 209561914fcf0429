package plugin

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// listen has the scheduler's informers tell the ledger about pods; of nodes it hears
// through the scheduler's cache. remove undoes it.
func (p *Slipway) listen() (synced []cache.InformerSynced, remove func(), err error) {
	core := p.handle.SharedInformerFactory().Core().V1()
	pods := core.Pods().Informer()
	reg, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.podSeen,
		UpdateFunc: func(_, obj any) { p.podSeen(obj) },
		DeleteFunc: p.podDeleted,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	remove = func() {
		if err := pods.RemoveEventHandler(reg); err != nil {
			p.logger.Error(err, "Removing an event handler")
		}
	}
	return []cache.InformerSynced{core.Nodes().Informer().HasSynced, reg.HasSynced}, remove, nil
}

func (p *Slipway) podSeen(obj any) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return
	}
	r, reserved := p.ledger.Get(pod.UID)
	switch {
	case !reserved:
	case pod.Spec.NodeName != "":
		p.bound(pod, pod.Spec.NodeName)
	case pod.DeletionTimestamp != nil || pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed:
		p.podDeleted(pod)
	case r.Pod == nil:
		p.act(p.ledger.Describe(p.clock.Now(), podOf(pod)))
	}
}

func (p *Slipway) podDeleted(obj any) {
	pod, ok := last(obj).(*v1.Pod)
	if !ok {
		return
	}
	if _, reserved := p.ledger.Get(pod.UID); !reserved {
		return
	}
	p.launcher.Drop(pod.UID)
	p.act(p.ledger.Deleted(p.clock.Now(), pod.UID))
}

// last returns an object that was deleted, also if its deletion itself was missed.
func last(obj any) any {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj
	}
	return obj
}
