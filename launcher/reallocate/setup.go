package reallocate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// Names of the field indexes that this package registers.
const (
	fieldNominated   = "status.nominatedNodeName"
	fieldReservedPod = "spec.pods.uid"
)

// reconcileTimeout bounds one decision: the next one waits for it.
const reconcileTimeout = 15 * time.Second

// metrics are the package's instruments.
type metrics struct {
	disruptions *prometheus.CounterVec
	paused      *prometheus.GaugeVec
	passes      prometheus.Histogram
	movedPods   prometheus.Counter
	saved       prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		disruptions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_disruptions_total",
			Help: "Nodes that the launcher removed of its own will, by reason.",
		}, []string{"reason"}),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_disruption_paused",
			Help: "1 where the nodes of a NodePool are left alone, since too many are unhealthy or new ones do not come; else 0.",
		}, []string{"nodepool", "reason"}),
		passes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "slipway_consolidation_pass_seconds",
			Help:    "How long it took to look at the whole cluster for nodes whose end saves money.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		movedPods: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slipway_consolidation_pods_total",
			Help: "Pods on the nodes that were chosen to go because that saves money.",
		}),
		saved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slipway_consolidation_savings_dollars_per_hour_total",
			Help: "Price of the nodes that were chosen to go, less that of what was to be bought in their place.",
		}),
	}
	for _, reason := range []v1alpha1.DisruptionReason{v1alpha1.ReasonEmpty, v1alpha1.ReasonExpired, v1alpha1.ReasonDrifted, v1alpha1.ReasonUnhealthy, v1alpha1.ReasonSurplus, v1alpha1.ReasonUnderutilized} {
		m.disruptions.WithLabelValues(string(reason))
	}
	for _, c := range []prometheus.Collector{m.disruptions, m.paused, m.passes, m.movedPods, m.saved} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of reallocate: %w", err)
		}
	}
	return m, nil
}

// SetupWithManager adds the slow loop to the manager. The manager's scheme must know
// v1alpha1, and cluster.Index must have been called on its cache.
func SetupWithManager(mgr manager.Manager, cfg Config) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return err
	}
	if err := index(mgr.GetFieldIndexer()); err != nil {
		return err
	}
	r := newRemover(mgr.GetClient(), mgr.GetAPIReader(), cfg, m)
	consolidator := newConsolidator(r, cfg)
	if err := mgr.Add(consolidator); err != nil {
		return fmt.Errorf("set up consolidation: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("reallocate").
		For(&v1alpha1.NodeClaim{}).
		Watches(&v1alpha1.NodeClaim{}, handler.Funcs{DeleteFunc: r.placeFreed, UpdateFunc: r.replacementMoved}).
		Watches(&v1alpha1.NodePool{}, handler.EnqueueRequestsFromMapFunc(r.claimsOfPool), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.EC2NodeClass{}, handler.EnqueueRequestsFromMapFunc(r.claimsOfClass)).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.claimOfNode), builder.WithPredicates(nodeChanges())).
		Watches(&corev1.Pod{}, r.podHandler()).
		WatchesRawSource(source.Channel(consolidator.chosen, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: cfg.Concurrency,
			// With the priority queue, a controller of v0.24.1 can hang when it is stopped
			// (controller-runtime issue 3538), which delays the next leader.
			UsePriorityQueue:      new(false),
			ReconciliationTimeout: reconcileTimeout,
			RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
			LogConstructor: func(req *reconcile.Request) logr.Logger {
				logger := mgr.GetLogger().WithName("reallocate")
				if req == nil {
					return logger
				}
				return logger.WithValues("nodeclaim", req.Name)
			},
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up reallocation: %w", err)
	}
	if err := setupPausing(mgr, cfg, m); err != nil {
		return fmt.Errorf("set up the circuit breaker: %w", err)
	}
	return nil
}

func newRemover(c client.Client, direct client.Reader, cfg Config, m *metrics) *remover {
	return &remover{
		client:   c,
		direct:   direct,
		recorder: cfg.Recorder,
		clock:    cfg.Clock,
		metrics:  m,
		settle:   cfg.SettleTime,
		retry:    cfg.RetryBlocked,
		resolver: cfg.Resolver,
		patience: cfg.ReplaceWithin,
		rest:     cfg.RestAfter,

		toleration: cfg.Toleration,
		schedulers: sets.KeySet(cfg.Engines),
	}
}

// index registers the field indexes of this package.
func index(indexer client.FieldIndexer) error {
	for _, ix := range []struct {
		obj    client.Object
		field  string
		values client.IndexerFunc
	}{
		{&corev1.Pod{}, fieldNominated, nominatedTo},
		{&v1alpha1.NodeClaim{}, fieldReservedPod, reservedPods},
	} {
		if err := indexer.IndexField(context.Background(), ix.obj, ix.field, ix.values); err != nil {
			return fmt.Errorf("index %T by %s: %w", ix.obj, ix.field, err)
		}
	}
	return nil
}

func nominatedTo(o client.Object) []string {
	if n := o.(*corev1.Pod).Status.NominatedNodeName; n != "" {
		return []string{n}
	}
	return nil
}

func reservedPods(o client.Object) []string {
	var uids []string
	for _, p := range o.(*v1alpha1.NodeClaim).HeldPods() {
		uids = append(uids, string(p.UID))
	}
	return uids
}

// nodeChanges lets through what bears on a node's removal, not its heartbeats.
func nodeChanges() predicate.Predicate {
	return predicate.Funcs{
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, is := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
			return !maps.Equal(was.Annotations, is.Annotations) || was.Spec.ProviderID != is.Spec.ProviderID ||
				!equality.Semantic.DeepEqual(was.Spec.Taints, is.Spec.Taints) || !sameHealth(was, is)
		},
	}
}

// podHandler has claims looked at when a pod takes or leaves a place: on a node, by a
// nomination, or reserved. It notes when pods leave nodes.
func (r *remover) podHandler() handler.Funcs {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(ctx context.Context, pod *corev1.Pod, q queue) {
		for _, req := range r.claimsOfPod(ctx, pod) {
			q.Add(req)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, ev event.CreateEvent, q queue) {
			enqueue(ctx, ev.Object.(*corev1.Pod), q)
		},
		DeleteFunc: func(ctx context.Context, ev event.DeleteEvent, q queue) {
			pod := ev.Object.(*corev1.Pod)
			r.noteLeaving(ctx, pod)
			enqueue(ctx, pod, q)
		},
		UpdateFunc: func(ctx context.Context, ev event.UpdateEvent, q queue) {
			was, is := ev.ObjectOld.(*corev1.Pod), ev.ObjectNew.(*corev1.Pod)
			if cluster.IsFinished(is) && !cluster.IsFinished(was) {
				r.noteLeaving(ctx, is)
			}
			if movesPlace(was, is) {
				enqueue(ctx, was, q)
				enqueue(ctx, is, q)
			}
		},
	}
}

// movesPlace tells whether an update bears on whether nodes are empty, or may go.
func movesPlace(was, is *corev1.Pod) bool {
	return was.Spec.NodeName != is.Spec.NodeName ||
		was.Status.NominatedNodeName != is.Status.NominatedNodeName ||
		cluster.IsFinished(was) != cluster.IsFinished(is) ||
		(was.DeletionTimestamp == nil) != (is.DeletionTimestamp == nil) ||
		cluster.ProtectsOtherwise(was, is)
}

// noteLeaving notes that a pod left its node, if that still is one.
func (r *remover) noteLeaving(ctx context.Context, pod *corev1.Pod) {
	if pod.Spec.NodeName == "" || cluster.IsDaemonPod(pod) {
		return
	}
	if err := r.client.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, &corev1.Node{}); err == nil {
		r.episodes.podLeft(pod.Spec.NodeName, r.clock.Now())
		r.departures.note(pod.Spec.NodeName, r.clock.Now())
	}
}

// claimOfNode maps a Node to the claim of its instance.
func (r *remover) claimOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	node := o.(*corev1.Node)
	if node.Spec.ProviderID == "" {
		return nil
	}
	claim, err := cluster.ClaimByProviderID(ctx, r.client, node.Spec.ProviderID)
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot tell whose a node is", "node", node.Name)
		return nil
	}
	if claim == nil {
		return nil
	}
	return requests(claim.Name)
}

// claimsOfPod maps a pod to the claims of the nodes that it is on, nominated to, or
// has a reservation on.
func (r *remover) claimsOfPod(ctx context.Context, o client.Object) []reconcile.Request {
	pod := o.(*corev1.Pod)
	var all []reconcile.Request
	for _, name := range []string{pod.Spec.NodeName, pod.Status.NominatedNodeName} {
		if name == "" {
			continue
		}
		node := &corev1.Node{}
		if err := r.client.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
			continue // no such node (yet): nothing of it to remove
		}
		all = append(all, r.claimOfNode(ctx, node)...)
	}
	var reserving v1alpha1.NodeClaimList
	err := r.client.List(ctx, &reserving, client.MatchingFields{fieldReservedPod: string(pod.UID)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot tell where a pod has a reservation", "pod", podName(pod))
	}
	for i := range reserving.Items {
		all = append(all, requests(reserving.Items[i].Name)...)
	}
	return all
}

// claimsOfPool maps a pool to its claims.
func (r *remover) claimsOfPool(ctx context.Context, o client.Object) []reconcile.Request {
	return r.claimsWith(ctx, func(c *v1alpha1.NodeClaim) bool { return c.Spec.NodePool == o.GetName() })
}

func (r *remover) claimsWith(ctx context.Context, wanted func(*v1alpha1.NodeClaim) bool) []reconcile.Request {
	var claims v1alpha1.NodeClaimList
	if err := r.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot tell which claims a change concerns")
		return nil
	}
	var names []string
	for i := range claims.Items {
		if wanted(&claims.Items[i]) {
			names = append(names, claims.Items[i].Name)
		}
	}
	return requests(names...)
}

// claimsOfClass maps a class to the claims that were bought by it.
func (r *remover) claimsOfClass(ctx context.Context, o client.Object) []reconcile.Request {
	return r.claimsWith(ctx, func(c *v1alpha1.NodeClaim) bool {
		return c.Spec.NodeClassRef != nil && c.Spec.NodeClassRef.Name == o.GetName()
	})
}

// placeFreed has claims looked at that waited for a place in the budget of a pool that
// has a node less, and those that were to replace the claim.
func (r *remover) placeFreed(ctx context.Context, ev event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	claim := ev.Object.(*v1alpha1.NodeClaim)
	r.episodes.end(claim.Name, claim.Status.NodeName)
	r.departures.forget(claim.Status.NodeName)
	for _, req := range requests(slices.Concat(r.waiting.some(claim.Spec.NodePool), r.replacementsOf(ctx, claim))...) {
		queue.Add(req)
	}
}

// replacementMoved has the claims looked at that were to replace one that stays after all, and
// those that one replaces whose node has come.
func (r *remover) replacementMoved(ctx context.Context, ev event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	was, is := ev.ObjectOld.(*v1alpha1.NodeClaim), ev.ObjectNew.(*v1alpha1.NodeClaim)
	var names []string
	if was.IsBeingReplaced() && !is.IsBeingReplaced() {
		names = r.replacementsOf(ctx, is)
	}
	if isInitialized(is) && !isInitialized(was) {
		names = append(names, is.Spec.Replaces...)
	}
	for _, req := range requests(names...) {
		queue.Add(req)
	}
}

func requests(names ...string) []reconcile.Request {
	return slices.Collect(func(yield func(reconcile.Request) bool) {
		for _, name := range names {
			if !yield(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}) {
				return
			}
		}
	})
}
