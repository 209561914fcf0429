package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// Reader reads from the API server.
func (c *Cluster) Reader() client.Reader { return c.client }

// Follow returns a reader of what the API server sends of nodes, NodeClaims and pods, which it
// keeps until ctx ends; wait then returns when nothing of it runs any more. failed is told, at
// any time, of what could not be read.
func (c *Cluster) Follow(ctx context.Context, failed func(error)) (reader client.Reader, wait func() error, err error) {
	follower, err := cache.New(c.config, cache.Options{
		Scheme:           c.scheme,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: slim}},
		DefaultWatchErrorHandler: func(_ context.Context, _ *toolscache.Reflector, err error) {
			// A watch that ends is begun anew; that is how watches are.
			if !errors.Is(err, io.EOF) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				failed(err)
			}
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("API server %s: %w", c.config.Host, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- follower.Start(ctx) }()
	wait = func() error { return <-ended }
	// It refuses to be read before it has started; then the first read of a kind waits for it.
	if !follower.WaitForCacheSync(ctx) {
		return nil, nil, errors.Join(ctx.Err(), wait())
	}
	return follower, wait, nil
}

// slim leaves of a pod what package nodes reads: a cluster has many.
func slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return nodes.Slim(pod), nil
}

// Nodes looks at the nodes by a reader of this cluster: its own, or one that follows it.
func (c *Cluster) Nodes(ctx context.Context, by client.Reader) (*nodes.View, error) {
	view, err := nodes.Look(ctx, by, time.Now())
	return view, c.failed(err)
}
