package observe

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Config says what to watch.
type Config struct {
	// REST reaches the API server; its client limits do not bound watches.
	REST *rest.Config
	// Scheme knows the core types and v1alpha1.
	Scheme *runtime.Scheme
	// Namespace of the pods. Everything else is watched in all of the cluster.
	Namespace string
	// Hear is told each sight as it is seen, if set. It is called under the observer's
	// lock and must not call the observer.
	Hear func(Sight)
}

// Observer keeps what the watches showed since the last Reset.
type Observer struct {
	hear func(Sight)

	mu      sync.Mutex
	view    *View
	changed chan struct{} // closed at the next sight
}

// Start watches pods, nodes, NodeClaims and, for a listener, events until ctx ends, in
// goroutines of wg's. It returns once the watches stand.
func Start(ctx context.Context, wg *sync.WaitGroup, cfg Config) (*Observer, error) {
	o := &Observer{hear: cfg.Hear}
	o.Reset()
	c, err := cache.New(cfg.REST, cache.Options{Scheme: cfg.Scheme, ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}: {Namespaces: map[string]cache.Config{cfg.Namespace: {}}},
	}})
	if err != nil {
		return nil, err
	}
	watches := []watched{
		{&corev1.Pod{}, func(x any, gone bool) { o.pod(x.(*corev1.Pod), gone) }},
		{&corev1.Node{}, func(x any, gone bool) { o.node(x.(*corev1.Node), gone) }},
		{&v1alpha1.NodeClaim{}, func(x any, gone bool) { o.claim(x.(*v1alpha1.NodeClaim), gone) }},
	}
	if cfg.Hear != nil {
		watches = append(watches, watched{&eventsv1.Event{}, func(x any, _ bool) { o.event(x.(*eventsv1.Event)) }})
	}
	for _, w := range watches {
		if err := w.handle(ctx, c); err != nil {
			return nil, err
		}
	}
	wg.Go(func() { _ = c.Start(ctx) }) // it ends with ctx
	if !c.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("watches did not start: %w", context.Cause(ctx))
	}
	return o, nil
}

// watched is a kind and what takes in its objects.
type watched struct {
	object client.Object
	take   func(object any, gone bool)
}

func (w watched) handle(ctx context.Context, c cache.Cache) error {
	informer, err := c.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(x any) { w.take(x, false) },
		UpdateFunc: func(_, x any) { w.take(x, false) },
		DeleteFunc: func(x any) {
			if tombstone, ok := x.(toolscache.DeletedFinalStateUnknown); ok {
				x = tombstone.Obj
			}
			w.take(x, true)
		},
	})
	return err
}

// Reset forgets everything that was seen.
func (o *Observer) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.view = NewView()
	o.changed = make(chan struct{})
}

// Read gives f what was seen; f must keep nothing of it.
func (o *Observer) Read(f func(*View)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.view)
}

// note runs f under the lock and wakes whoever waits.
func (o *Observer) note(f func(now time.Time)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(time.Now())
	close(o.changed)
	o.changed = make(chan struct{})
}

// pollEvery bounds how late Wait sees what no watch tells of.
const pollEvery = 100 * time.Millisecond

// WaitFor waits as Wait does, for some time at most.
func (o *Observer) WaitFor(ctx context.Context, atMost time.Duration, what string, done func(*View) bool) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	return o.Wait(ctx, what, done)
}

// Wait returns when the condition holds. It is asked under the lock whenever something was
// seen, and every 100 ms, for it may look elsewhere too. The error says what did not
// happen before ctx ended.
func (o *Observer) Wait(ctx context.Context, what string, done func(*View) bool) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		o.mu.Lock()
		ok, changed := done(o.view), o.changed
		o.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("did not happen in time: %s", what)
		}
	}
}
