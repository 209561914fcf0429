package replicas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

const (
	// writers is how many claims are written at the same time.
	writers      = 16
	writeTimeout = 10 * time.Second
	// firstPause and longestPause follow claims that failed: as long, then twice as long each time.
	firstPause   = time.Second
	longestPause = 5 * time.Minute

	reasonSurplus = "MoreThanReplicas"
	reasonNeeded  = "Needed"
)

// reconciler keeps pools at their size. One goroutine looks at a pool at a time.
type reconciler struct {
	Config
	client client.Client
	direct client.Reader // reads from the API server, not from the cache

	pauses workqueue.TypedRateLimiter[string]
	mu     sync.Mutex
	// notBefore is when launches of a pool go on that failed, told what was said last of those
	// that are not possible; both by pool.
	notBefore map[string]time.Time
	told      map[string]string
}

func newReconciler(c client.Client, direct client.Reader, cfg Config) *reconciler {
	return &reconciler{
		Config: cfg, client: c, direct: direct, notBefore: map[string]time.Time{}, told: map[string]string{},
		pauses: workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstPause, longestPause),
	}
}

// Reconcile brings one pool closer to its size.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pool := &v1alpha1.NodePool{}
	if err := r.client.Get(ctx, req.NamespacedName, pool); err != nil {
		if apierrors.IsNotFound(err) {
			r.came(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if pool.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	own, others, err := r.list(ctx, pool)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: list nodeclaims: %w", pool.Name, err)
	}
	var d decision // of a pool without replicas: none is one too many
	if pool.Spec.Replicas != nil {
		d = decide(*pool.Spec.Replicas, own, func(c *v1alpha1.NodeClaim) standing { return r.look(ctx, c) })
	}
	if err := r.mark(ctx, pool, own, d); err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: %w", pool.Name, err)
	}
	wait, err := r.launch(ctx, pool, d, slices.Concat(own, others))
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodepool %s: %w", pool.Name, err)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// fieldPool is one of the API server's.
const fieldPool = "spec.nodePool"

// list returns the pool's claims, as the API server has them if it is of a fixed size, and
// those of other pools.
func (r *reconciler) list(ctx context.Context, pool *v1alpha1.NodePool) (own, others []*v1alpha1.NodeClaim, err error) {
	var cached, direct v1alpha1.NodeClaimList
	if err := r.client.List(ctx, &cached); err != nil {
		return nil, nil, err
	}
	for i := range cached.Items {
		if c := &cached.Items[i]; c.Spec.NodePool == pool.Name {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	if pool.Spec.Replicas == nil {
		return own, others, nil
	}
	if err := r.direct.List(ctx, &direct, client.MatchingFields{fieldPool: pool.Name}); err != nil {
		return nil, nil, err
	}
	own = nil
	for i := range direct.Items {
		own = append(own, &direct.Items[i])
	}
	return own, others, nil
}

// look tells what is on a claim's node. What cannot be told counts as protected.
func (r *reconciler) look(ctx context.Context, claim *v1alpha1.NodeClaim) standing {
	s := standing{claim: claim}
	if claim.Status.NodeName == "" {
		return s
	}
	node, err := cluster.NodeByProviderID(ctx, r.client, claim.Status.ProviderID)
	if err == nil {
		var p cluster.Protection
		p, err = cluster.ProtectionOf(ctx, r.client, claim, node, r.Clock.Now())
		s.protected = p.By != ""
	}
	pods, podsErr := cluster.PodsOn(ctx, r.client, claim.Status.NodeName)
	if err = errors.Join(err, podsErr); err != nil {
		log.FromContext(ctx).Error(err, "cannot tell what is on a node", "nodeclaim", claim.Name)
		s.protected = true
	}
	for i := range pods {
		if !cluster.IsFinished(&pods[i]) && !cluster.IsDaemonPod(&pods[i]) {
			s.pods++
		}
	}
	return s
}

// launch writes the claims that the pool lacks, and returns when to look again.
func (r *reconciler) launch(ctx context.Context, pool *v1alpha1.NodePool, d decision, held []*v1alpha1.NodeClaim) (time.Duration, error) {
	if d.launch == 0 {
		r.tell(pool, "")
		return 0, nil
	}
	if wait := r.pause(pool.Name); wait > 0 {
		return wait, nil
	}
	claims, why := r.newClaims(ctx, pool, d.launch, held)
	r.tell(pool, why)
	for i, c := range claims[:min(len(claims), len(d.replaced))] {
		c.Spec.Replaces = d.replaced[i : i+1]
	}
	formFleets(claims)
	if err := r.Leads(); err != nil {
		return 0, err
	}
	errs := make([]error, len(claims))
	workqueue.ParallelizeUntil(ctx, writers, len(claims), func(i int) {
		write, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		errs[i] = r.client.Create(write, claims[i])
	})
	if len(claims) > 0 {
		log.FromContext(ctx).Info("nodeclaims written", "nodeclaims", len(claims), "lacking", d.launch, "replicas", *pool.Spec.Replicas)
	}
	if why != "" {
		return r.RetryEvery, errors.Join(errs...)
	}
	return 0, errors.Join(errs...)
}

// tell says on the pool, once, why it stays smaller than it should be.
func (r *reconciler) tell(pool *v1alpha1.NodePool, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[pool.Name] == why {
		return
	}
	r.told[pool.Name] = why
	if why != "" {
		r.Recorder.Eventf(pool, nil, corev1.EventTypeWarning, "TooFewReplicas", "Launch", "Not all of the %d nodes can be launched: %s", *pool.Spec.Replicas, why)
	}
}

// mark says on claims which are too many, and takes that back of others.
func (r *reconciler) mark(ctx context.Context, pool *v1alpha1.NodePool, own []*v1alpha1.NodeClaim, d decision) error {
	var errs []error
	for _, c := range own {
		surplus := slices.Contains(d.surplus, c)
		switch {
		case c.DeletionTimestamp != nil || c.IsBeingReplaced():
		case surplus && !is(c, v1alpha1.ConditionInitialized): // nothing is on it
			err := r.client.Delete(ctx, c, client.Preconditions{UID: &c.UID})
			errs = append(errs, client.IgnoreNotFound(err))
		case surplus && !is(c, v1alpha1.ConditionSurplus):
			errs = append(errs, r.set(ctx, c, metav1.ConditionTrue, reasonSurplus, fmt.Sprintf("NodePool %s wants %d nodes", pool.Name, *pool.Spec.Replicas)))
		case !surplus && is(c, v1alpha1.ConditionSurplus):
			errs = append(errs, r.set(ctx, c, metav1.ConditionFalse, reasonNeeded, "its NodePool wants it"))
		}
	}
	return errors.Join(errs...)
}

// set writes the condition Surplus. Where another wrote meanwhile it fails: what is right may
// be something else now.
func (r *reconciler) set(ctx context.Context, claim *v1alpha1.NodeClaim, status metav1.ConditionStatus, reason, message string) error {
	before := claim.DeepCopy()
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionSurplus, Status: status, Reason: reason, Message: message,
		ObservedGeneration: claim.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now()),
	})
	err := r.client.Status().Patch(ctx, claim, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("nodeclaim %s: write condition %s: %w", claim.Name, v1alpha1.ConditionSurplus, err)
	}
	return nil
}

// failed has a pool whose claim failed wait before the next.
func (r *reconciler) failed(pool string) {
	wait := r.pauses.When(pool)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notBefore[pool] = r.Clock.Now().Add(wait)
}

// came forgets the failures of a pool.
func (r *reconciler) came(pool string) {
	r.pauses.Forget(pool)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notBefore, pool)
	delete(r.told, pool)
}

// pause is how long launches of a pool are to wait.
func (r *reconciler) pause(pool string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notBefore[pool].Sub(r.Clock.Now())
}
