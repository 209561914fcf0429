package reallocate

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
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

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// lookAfterChange is how long changes of a pool's nodes gather before they are counted.
const lookAfterChange = time.Second

// pauser keeps the condition DisruptionPaused of NodePools, by which the remover goes.
type pauser struct {
	client   client.Client
	recorder events.EventRecorder
	clock    clock.PassiveClock
	paused   *prometheus.GaugeVec
	tallies  tallies
}

func setupPausing(mgr manager.Manager, cfg Config, m *metrics) error {
	p := &pauser{client: mgr.GetClient(), recorder: cfg.Recorder, clock: cfg.Clock, paused: m.paused}
	return ctrl.NewControllerManagedBy(mgr).
		Named("reallocate.breaker").
		For(&v1alpha1.NodePool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.NodeClaim{}, p.claims()).
		Watches(&corev1.Node{}, p.nodes()).
		WithOptions(controller.Options{
			UsePriorityQueue:      new(false), // see SetupWithManager
			ReconciliationTimeout: reconcileTimeout,
			RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
		}).
		Complete(p)
}

// Reconcile opens or closes the breaker of one pool.
func (p *pauser) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pool := &v1alpha1.NodePool{}
	if err := p.client.Get(ctx, req.NamespacedName, pool); err != nil {
		if apierrors.IsNotFound(err) {
			p.tallies.drop(req.Name)
			p.paused.DeletePartialMatch(prometheus.Labels{"nodepool": req.Name})
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	v, err := p.vitals(ctx, pool)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: %w", pool.Name, err)
	}
	verdict := v.judge(p.clock.Now())
	err = p.tell(ctx, pool, verdict)
	if apierrors.IsConflict(err) { // another wrote, which the cache is about to show
		return reconcile.Result{RequeueAfter: lookAfterChange}, nil
	}
	return reconcile.Result{RequeueAfter: verdict.wait}, client.IgnoreNotFound(err)
}

// vitals counts the nodes of a pool that are to stay.
func (p *pauser) vitals(ctx context.Context, pool *v1alpha1.NodePool) (vitals, error) {
	var before tally // in another life of this process
	if was := pausedCondition(pool); was != nil && was.Status == metav1.ConditionTrue && was.Reason == reasonReplacementsFail {
		before = tally{failuresInARow, was.LastTransitionTime.Time}
	}
	v := vitals{tally: p.tallies.of(pool.Name, before)}
	var nodes corev1.NodeList
	if err := p.client.List(ctx, &nodes, client.MatchingLabels{v1alpha1.LabelNodePool: pool.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return v, fmt.Errorf("list nodes: %w", err)
	}
	byProviderID := make(map[string]*corev1.Node, len(nodes.Items))
	for i := range nodes.Items {
		byProviderID[nodes.Items[i].Spec.ProviderID] = &nodes.Items[i]
	}
	var claims v1alpha1.NodeClaimList
	if err := p.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return v, fmt.Errorf("list nodeclaims: %w", err)
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		node := byProviderID[claim.Status.ProviderID]
		if node == nil || claim.Spec.NodePool != pool.Name || claim.DeletionTimestamp != nil || !isInitialized(claim) ||
			meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInterrupted) {
			continue
		}
		v.nodes++
		if ailmentOf(claim, node) != nil {
			v.unhealthy++
		}
	}
	return v, nil
}

func pausedCondition(pool *v1alpha1.NodePool) *metav1.Condition {
	return meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionDisruptionPaused)
}

// tell writes the verdict on the pool, and says so once it is another.
func (p *pauser) tell(ctx context.Context, pool *v1alpha1.NodePool, is verdict) error {
	was := pausedCondition(pool)
	open := was != nil && was.Status == metav1.ConditionTrue
	for _, reason := range []string{reasonManyUnhealthy, reasonReplacementsFail} {
		p.paused.WithLabelValues(pool.Name, reason).Set(0)
	}
	if is.reason != "" {
		p.paused.WithLabelValues(pool.Name, is.reason).Set(1)
	}
	if is.reason == "" && !open || open && was.Reason == is.reason && was.Message == is.message {
		return nil
	}
	c := metav1.Condition{
		Type: v1alpha1.ConditionDisruptionPaused, Status: metav1.ConditionFalse, Reason: reasonDisruptionAllowed, Message: "nodes may be disrupted again",
		ObservedGeneration: pool.Generation, LastTransitionTime: metav1.NewTime(p.clock.Now()),
	}
	if is.reason != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, is.reason, is.message
	}
	before := pool.DeepCopy()
	meta.SetStatusCondition(&pool.Status.Conditions, c)
	// Conditions are a list, which a merge patch replaces as a whole: hence the lock.
	if err := p.client.Status().Patch(ctx, pool, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("nodepool %s: write condition %s: %w", pool.Name, c.Type, err)
	}
	switch {
	case is.reason == "":
		log.FromContext(ctx).Info("disruption resumed")
		p.recorder.Eventf(pool, nil, corev1.EventTypeNormal, "DisruptionResumed", "Disrupt", "Nodes may be disrupted again")
	case !open || was.Reason != is.reason:
		log.FromContext(ctx).Info("disruption paused", "reason", is.reason, "message", is.message)
		p.recorder.Eventf(pool, nil, corev1.EventTypeWarning, v1alpha1.ConditionDisruptionPaused, "Keep", "No node is disrupted but empty ones: %s", is.message)
	}
	return nil
}

type poolQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// soon has a pool looked at once its changes have gathered.
func soon(pool string, q poolQueue) {
	for _, req := range requests(pool) {
		q.AddAfter(req, lookAfterChange)
	}
}

// claims has the pools of claims looked at that came, failed or ended.
func (p *pauser) claims() handler.Funcs {
	return handler.Funcs{
		CreateFunc: func(context.Context, event.CreateEvent, poolQueue) {},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q poolQueue) {
			soon(e.Object.(*v1alpha1.NodeClaim).Spec.NodePool, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q poolQueue) {
			was, is := e.ObjectOld.(*v1alpha1.NodeClaim), e.ObjectNew.(*v1alpha1.NodeClaim)
			o := outcomeOf(was, is)
			p.tallies.note(is.Spec.NodePool, o, p.clock.Now())
			if o != nothingNew || (was.DeletionTimestamp == nil) != (is.DeletionTimestamp == nil) || impaired(was) != impaired(is) {
				soon(is.Spec.NodePool, q)
			}
		},
	}
}

func impaired(claim *v1alpha1.NodeClaim) bool {
	return meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionImpaired)
}

// nodes has the pools of nodes looked at that became more or less healthy.
func (p *pauser) nodes() handler.Funcs {
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q poolQueue) {
			was, is := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
			if pool := is.Labels[v1alpha1.LabelNodePool]; pool != "" && !sameHealth(was, is) {
				soon(pool, q)
			}
		},
	}
}
