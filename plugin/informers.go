package plugin

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// listen has the scheduler's informers tell the ledger about nodes and pods. remove
// undoes it.
func (p *Slipway) listen() (synced []cache.InformerSynced, remove func(), err error) {
	core := p.handle.SharedInformerFactory().Core().V1()
	var undo []func()
	remove = func() {
		for _, f := range undo {
			f()
		}
	}
	for _, l := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{core.Nodes().Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    p.nodeSeen,
			UpdateFunc: func(_, obj any) { p.nodeSeen(obj) },
			DeleteFunc: p.nodeDeleted,
		}},
		{core.Pods().Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    p.podSeen,
			UpdateFunc: func(_, obj any) { p.podSeen(obj) },
			DeleteFunc: p.podDeleted,
		}},
	} {
		reg, err := l.informer.AddEventHandler(l.handler)
		if err != nil {
			remove()
			return nil, nil, fmt.Errorf("listen: %w", err)
		}
		undo = append(undo, func() {
			if err := l.informer.RemoveEventHandler(reg); err != nil {
				p.logger.Error(err, "Removing an event handler")
			}
		})
		synced = append(synced, reg.HasSynced)
	}
	return synced, remove, nil
}

func (p *Slipway) nodeSeen(obj any) {
	if node, ok := obj.(*v1.Node); ok {
		p.act(p.ledger.NodeSeen(p.clock.Now(), ledger.NodeOf(node)))
	}
}

func (p *Slipway) nodeDeleted(obj any) {
	if node, ok := last(obj).(*v1.Node); ok {
		p.act(p.ledger.NodeDeleted(p.clock.Now(), node.Name))
	}
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
