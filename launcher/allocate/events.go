package allocate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// event is what an informer saw; claim, pod or why is set.
type event struct {
	claim *v1alpha1.NodeClaim
	pod   *corev1.Pod
	gone  bool
	why   string // pods that fitted nothing may fit now
}

// subscribe forwards the informers' events that the loop cares about.
func (a *Allocator) subscribe(ctx context.Context) (<-chan event, error) {
	events := make(chan event, 1024)
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	changed := func(kind string) func(any, bool) {
		return func(any, bool) { send(event{why: kind + " changed"}) }
	}
	for _, s := range []struct {
		object client.Object
		handle func(object any, gone bool)
	}{
		{&v1alpha1.NodeClaim{}, func(o any, gone bool) { send(event{claim: o.(*v1alpha1.NodeClaim), gone: gone}) }},
		{&corev1.Pod{}, func(o any, gone bool) { send(event{pod: o.(*corev1.Pod), gone: gone}) }},
		{&v1alpha1.NodePool{}, changed("NodePools")},
		{&v1alpha1.EC2NodeClass{}, changed("EC2NodeClasses")},
	} {
		informer, err := a.cfg.Cache.GetInformer(ctx, s.object)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", s.object, err)
		}
		registration, err := informer.AddEventHandler(handler(s.handle))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", s.object, err)
		}
		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })
	}
	return events, nil
}

// handler adapts one function to an informer.
func handler(handle func(object any, gone bool)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { handle(o, false) },
		UpdateFunc: func(old, o any) {
			if old.(client.Object).GetResourceVersion() != o.(client.Object).GetResourceVersion() {
				handle(o, false)
			}
		},
		DeleteFunc: func(o any) {
			if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = tombstone.Obj
			}
			handle(o, true)
		},
	}
}
