package replicas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("invalid replicas configuration")

// Catalog tells what can be bought; offering.Catalog is one.
type Catalog interface {
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)
}

// Config is what the package needs. RetryEvery takes the default given with it; the rest is required.
type Config struct {
	Catalog Catalog
	// Recorder writes events on NodePools.
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// Leads returns an error once another process may lead.
	Leads func() error
	// RetryEvery is how often nodes are tried again that could not be launched. 30 s.
	RetryEvery time.Duration
}

func (c *Config) setDefaults() error {
	if c.Catalog == nil || c.Recorder == nil || c.Clock == nil || c.Leads == nil || c.RetryEvery < 0 {
		return fmt.Errorf("%w: Catalog, Recorder, Clock and Leads are required, RetryEvery is not below 0", ErrConfig)
	}
	if c.RetryEvery == 0 {
		c.RetryEvery = 30 * time.Second
	}
	return nil
}

const (
	// gather is how long changes of a pool's claims are waited for, so that what is lacking is
	// bought together.
	gather = 100 * time.Millisecond
	// reconcileTimeout bounds one look at a pool.
	reconcileTimeout = time.Minute
)

// SetupWithManager adds the controller to the manager. The manager's scheme must know
// v1alpha1, and cluster.Index must have been called on its cache.
func SetupWithManager(mgr manager.Manager, cfg Config) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	r := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), cfg)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("replicas").
		For(&v1alpha1.NodePool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.NodeClaim{}, r.claims()).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 5,
			// With the priority queue, a controller of v0.24.1 can hang when it is stopped
			// (controller-runtime issue 3538), which delays the next leader.
			UsePriorityQueue:      new(false),
			ReconciliationTimeout: reconcileTimeout,
			RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up replicas: %w", err)
	}
	return nil
}

// claims has pools of a fixed size looked at when it may have changed.
func (r *reconciler) claims() handler.Funcs {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	soon := func(ctx context.Context, claim *v1alpha1.NodeClaim, q queue) {
		pool := &v1alpha1.NodePool{}
		name := types.NamespacedName{Name: claim.Spec.NodePool}
		if err := r.client.Get(ctx, name, pool); err == nil && pool.Spec.Replicas != nil {
			q.AddAfter(reconcile.Request{NamespacedName: name}, gather)
		}
	}
	return handler.Funcs{
		CreateFunc: func(context.Context, event.CreateEvent, queue) {}, // ours, or seen by the look at its pool
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			soon(ctx, e.Object.(*v1alpha1.NodeClaim), q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			was, is := e.ObjectOld.(*v1alpha1.NodeClaim), e.ObjectNew.(*v1alpha1.NodeClaim)
			switch {
			case hasFailed(is) && !hasFailed(was):
				r.failed(is.Spec.NodePool)
			case initialized(is) && !initialized(was):
				r.came(is.Spec.NodePool)
			case (was.DeletionTimestamp == nil) == (is.DeletionTimestamp == nil) && was.IsBeingReplaced() == is.IsBeingReplaced():
				return
			}
			soon(ctx, is, q)
		},
	}
}

func initialized(c client.Object) bool {
	return is(c.(*v1alpha1.NodeClaim), v1alpha1.ConditionInitialized)
}
