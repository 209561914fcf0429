package nodeclaim

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
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

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// reconcileTimeout bounds one reconcile, calls to the cloud and the API server included.
const reconcileTimeout = 2 * time.Minute

// SetupWithManager adds the lifecycle's controllers to the manager. The manager's
// scheme must know v1alpha1, and cluster.Index must have been called on its cache.
func SetupWithManager(mgr manager.Manager, cfg Config) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	m, err := newMetrics(cfg.Metrics, mgr.GetCache())
	if err != nil {
		return err
	}
	s := store{client: mgr.GetClient(), direct: mgr.GetAPIReader(), clock: cfg.Clock}
	if err := setupLaunch(mgr, cfg, newLauncher(s, cfg, m)); err != nil {
		return fmt.Errorf("set up launch: %w", err)
	}
	if err := setupJoin(mgr, newJoiner(s, cfg, m)); err != nil {
		return fmt.Errorf("set up registration: %w", err)
	}
	if err := setupTermination(mgr, cfg, newTerminator(s, cfg, m)); err != nil {
		return fmt.Errorf("set up termination: %w", err)
	}
	if err := setupNodeDeletion(mgr, &nodeDeleter{s}); err != nil {
		return fmt.Errorf("set up node deletion: %w", err)
	}
	if err := setupInterruption(mgr, cfg, newInterrupter(s, cfg), m); err != nil {
		return fmt.Errorf("set up interruption: %w", err)
	}
	if err := mgr.Add(newCollector(s, cfg, m, mgr.GetLogger())); err != nil {
		return fmt.Errorf("set up garbage collection: %w", err)
	}
	return nil
}

func setupLaunch(mgr manager.Manager, cfg Config, l *launcher) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim.launch").
		For(&v1alpha1.NodeClaim{}).
		Watches(&v1alpha1.EC2NodeClass{}, handler.EnqueueRequestsFromMapFunc(l.waitingForClass)).
		WithOptions(options(mgr, "nodeclaim.launch", cfg.LaunchConcurrency)).
		Complete(l)
}

func setupJoin(mgr manager.Manager, j *joiner) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim.registration").
		For(&v1alpha1.NodeClaim{}, builder.WithPredicates(isState(func(c *v1alpha1.NodeClaim) bool {
			return c.DeletionTimestamp == nil && isTrue(c, v1alpha1.ConditionLaunched)
		}))).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(j.claimOfNode)).
		WithOptions(options(mgr, "nodeclaim.registration", 10)).
		Complete(j)
}

func setupTermination(mgr manager.Manager, cfg Config, t *terminator) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim.termination").
		For(&v1alpha1.NodeClaim{}, builder.WithPredicates(isState(func(c *v1alpha1.NodeClaim) bool {
			return c.DeletionTimestamp != nil
		}))).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(t.endingClaimOfNode)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(t.endingClaimOfPod), builder.WithPredicates(leavesNode())).
		Watches(&storagev1.VolumeAttachment{}, handler.EnqueueRequestsFromMapFunc(t.endingClaimOfVolume), builder.WithPredicates(removal())).
		WithOptions(options(mgr, "nodeclaim.termination", cfg.TerminationConcurrency)).
		Complete(t)
}

func setupInterruption(mgr manager.Manager, cfg Config, i *interrupter, m *metrics) error {
	if cfg.Notices != nil {
		reader := &noticeReader{notices: cfg.Notices, heed: i.heed, clock: cfg.Clock, metrics: m, log: mgr.GetLogger().WithName("nodeclaim.notices")}
		if err := mgr.Add(manager.RunnableFunc(reader.Start)); err != nil {
			return err
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim.interruption").
		For(&v1alpha1.NodeClaim{}, builder.WithPredicates(isState(func(c *v1alpha1.NodeClaim) bool {
			return c.DeletionTimestamp == nil && (isTrue(c, v1alpha1.ConditionInterrupted) || c.Status.ReservationID != "")
		}))).
		WithOptions(options(mgr, "nodeclaim.interruption", 5)).
		Complete(i)
}

func setupNodeDeletion(mgr manager.Manager, d *nodeDeleter) error {
	leaving := predicate.NewPredicateFuncs(func(o client.Object) bool { return isLeaving(o.(*corev1.Node)) })
	return ctrl.NewControllerManagedBy(mgr).
		Named("nodeclaim.nodedeletion").
		For(&corev1.Node{}, builder.WithPredicates(leaving)).
		WithOptions(options(mgr, "nodeclaim.nodedeletion", 5)).
		Complete(d)
}

// options are those all controllers share. Failures are retried per claim, without the
// overall limit of the default, which would have one class of failure slow down all.
func options(mgr manager.Manager, name string, concurrency int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrency,
		// With the priority queue, a controller of v0.24.1 can hang when it is stopped
		// (controller-runtime issue 3538), which delays the next leader.
		UsePriorityQueue:      new(false),
		ReconciliationTimeout: reconcileTimeout,
		RateLimiter:           workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
		LogConstructor: func(req *reconcile.Request) logr.Logger {
			logger := mgr.GetLogger().WithName(name)
			if req == nil {
				return logger
			}
			return logger.WithValues("nodeclaim", req.Name)
		},
	}
}

// isState lets through what happens to claims in a state, and their removal.
func isState(in func(*v1alpha1.NodeClaim) bool) predicate.Predicate {
	p := predicate.NewPredicateFuncs(func(o client.Object) bool { return in(o.(*v1alpha1.NodeClaim)) })
	p.DeleteFunc = func(event.DeleteEvent) bool { return true }
	return p
}

// leavesNode lets through the events by which a pod stops holding its node.
func leavesNode() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		DeleteFunc:  func(e event.DeleteEvent) bool { return e.Object.(*corev1.Pod).Spec.NodeName != "" },
		UpdateFunc: func(e event.UpdateEvent) bool {
			was, is := e.ObjectOld.(*corev1.Pod), e.ObjectNew.(*corev1.Pod)
			return is.Spec.NodeName != "" && cluster.IsFinished(is) && !cluster.IsFinished(was)
		},
	}
}

// removal lets through that an object is gone.
func removal() predicate.Predicate {
	p := predicate.NewPredicateFuncs(func(client.Object) bool { return false })
	p.DeleteFunc = func(event.DeleteEvent) bool { return true }
	return p
}

// claimOfNode maps a Node to the claim of its instance.
func (s *store) claimOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	return s.claimOf(ctx, o.(*corev1.Node), func(*v1alpha1.NodeClaim) bool { return true })
}

// endingClaimOfNode maps a Node to the claim of its instance, if that is being deleted.
func (s *store) endingClaimOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	return s.claimOf(ctx, o.(*corev1.Node), isEnding)
}

// endingClaimOfPod maps a pod to the claim of its node, if that is being deleted.
func (s *store) endingClaimOfPod(ctx context.Context, o client.Object) []reconcile.Request {
	return s.endingClaimOf(ctx, o, o.(*corev1.Pod).Spec.NodeName)
}

// endingClaimOfVolume maps a volume's attachment to the claim of its node, if that is being
// deleted.
func (s *store) endingClaimOfVolume(ctx context.Context, o client.Object) []reconcile.Request {
	return s.endingClaimOf(ctx, o, o.(*storagev1.VolumeAttachment).Spec.NodeName)
}

// endingClaimOf finds the claim of the node that something left, if that is being deleted.
func (s *store) endingClaimOf(ctx context.Context, left client.Object, name string) []reconcile.Request {
	node := &corev1.Node{}
	if err := s.client.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		if client.IgnoreNotFound(err) != nil {
			log.FromContext(ctx).Error(err, "cannot tell whose a node is", "node", name, "left", client.ObjectKeyFromObject(left))
		}
		return nil
	}
	return s.claimOf(ctx, node, isEnding)
}

func isEnding(claim *v1alpha1.NodeClaim) bool { return claim.DeletionTimestamp != nil }

// claimOf maps a Node to the claim of its instance, if that is wanted.
func (s *store) claimOf(ctx context.Context, node *corev1.Node, wanted func(*v1alpha1.NodeClaim) bool) []reconcile.Request {
	if node.Spec.ProviderID == "" {
		return nil
	}
	claim, err := cluster.ClaimByProviderID(ctx, s.client, node.Spec.ProviderID)
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot tell whose a node is", "node", node.Name)
		return nil
	}
	if claim == nil || !wanted(claim) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(claim)}}
}

// waitingForClass maps a class to the claims that are to be launched by it.
func (l *launcher) waitingForClass(ctx context.Context, o client.Object) []reconcile.Request {
	var claims v1alpha1.NodeClaimList
	if err := l.client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot tell which claims wait for a class", "class", o.GetName())
		return nil
	}
	var waiting []reconcile.Request
	for i := range claims.Items {
		c := &claims.Items[i]
		if ref := c.Spec.NodeClassRef; ref != nil && ref.Name == o.GetName() && !isTrue(c, v1alpha1.ConditionLaunched) {
			waiting = append(waiting, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c)})
		}
	}
	return waiting
}
