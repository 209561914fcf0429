package nodeclaim

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// joiner owns the claims that are Launched and not being deleted: it brings their
// nodes into the cluster, through registration and initialization. Both phases of one
// reconcile share one status write: most nodes go through both within a second.
type joiner struct {
	store
	catalog  Catalog
	recorder events.EventRecorder
	metrics  *metrics
	// timeout is how long a node may take to register, readyTimeout how long from then to be
	// initialized.
	timeout, readyTimeout time.Duration

	taught  taught
	unknown unknown
}

func newJoiner(s store, cfg Config, m *metrics) *joiner {
	return &joiner{
		store: s, catalog: cfg.Catalog, recorder: cfg.Recorder, metrics: m,
		timeout: cfg.RegistrationTimeout, readyTimeout: cfg.InitializationTimeout,
	}
}

// Reconcile brings one claim's node closer to Initialized.
func (j *joiner) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := j.client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			j.taught.forget(req.Name)
			j.unknown.forget(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if claim.DeletionTimestamp != nil || !isTrue(claim, v1alpha1.ConditionLaunched) {
		return reconcile.Result{}, nil
	}
	node, err := cluster.NodeByProviderID(ctx, j.client, claim.Status.ProviderID)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	switch {
	case hasReason(claim, v1alpha1.ConditionInitialized, reasonInitializationTimeout): // and then we crashed
		return reconcile.Result{}, j.delete(ctx, claim)
	case node == nil && isTrue(claim, v1alpha1.ConditionRegistered):
		return reconcile.Result{}, j.lost(ctx, claim)
	case node == nil:
		return j.await(ctx, claim)
	case !isTrue(claim, v1alpha1.ConditionInitialized):
		return j.join(ctx, claim, node)
	default:
		return reconcile.Result{}, j.teach(ctx, claim, node)
	}
}

// join registers the node if it is not, and initializes it as far as it is ready. A node that
// is not when its time is over never will be, and its claim ends: pods wait for it, and it costs.
func (j *joiner) join(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (reconcile.Result, error) {
	registered := isTrue(claim, v1alpha1.ConditionRegistered)
	if !registered {
		t, err := j.typeOf(ctx, claim)
		if err != nil {
			return j.unlabelled(ctx, claim, node, err)
		}
		if err := j.adopt(ctx, claim, node, t); err != nil {
			return reconcile.Result{}, err
		}
	}
	if err := j.teach(ctx, claim, node); err != nil {
		return reconcile.Result{}, err
	}
	missing := missingOf(claim, node)
	if err := j.joined(ctx, claim, node, registered, missing); err != nil || missing == nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	since := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionRegistered).LastTransitionTime
	if left := since.Add(j.readyTimeout).Sub(j.clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	return reconcile.Result{}, j.expire(ctx, claim, v1alpha1.ConditionInitialized, reasonInitializationTimeout,
		fmt.Sprintf("node %s was not ready for pods within %s of its registration: %s", node.Name, j.readyTimeout, missing.message))
}

// unlabelled gives a node time whose type is not known, as when its class is gone. When that
// is over the claim ends: pods were promised the node by labels that nobody can tell.
func (j *joiner) unlabelled(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, err error) (reconcile.Result, error) {
	since := j.unknown.since(claim, j.clock.Now())
	if j.clock.Now().Before(since.Add(j.timeout)) {
		return reconcile.Result{}, err // makes the work queue try again
	}
	return reconcile.Result{}, j.expire(ctx, claim, v1alpha1.ConditionRegistered, reasonRegistrationTimeout,
		fmt.Sprintf("node %s could not be made part of the cluster within %s: %v", node.Name, j.timeout, err))
}

// joined writes on the claim how far its node has come.
func (j *joiner) joined(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, registered bool, missing *blocker) error {
	wrote, err := j.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		c.Status.NodeName = node.Name
		if len(node.Status.Allocatable) > 0 {
			c.Status.Allocatable = node.Status.Allocatable.DeepCopy()
		}
		j.set(c, v1alpha1.ConditionRegistered, metav1.ConditionTrue, reasonRegistered, "node "+node.Name+" registered")
		if missing == nil {
			j.set(c, v1alpha1.ConditionInitialized, metav1.ConditionTrue, reasonInitialized, "node "+node.Name+" is ready for pods")
		} else {
			j.set(c, v1alpha1.ConditionInitialized, metav1.ConditionUnknown, missing.reason, missing.message)
		}
	})
	if err != nil || !wrote {
		return err
	}
	age := j.clock.Since(claim.CreationTimestamp.Time).Seconds()
	logger := log.FromContext(ctx).WithValues(facts(claim)...)
	if !registered {
		logger.Info("registered")
		j.metrics.registered.Observe(age)
	}
	if missing == nil {
		logger.Info("initialized")
		j.metrics.initialized.Observe(age)
	}
	return nil
}

// await gives the node of a launched claim its time to register, and ends the claim
// when that is over.
func (j *joiner) await(ctx context.Context, claim *v1alpha1.NodeClaim) (reconcile.Result, error) {
	launched := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	if left := launched.LastTransitionTime.Add(j.timeout).Sub(j.clock.Now()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	message, err := j.whyUnregistered(ctx, claim)
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, j.expire(ctx, claim, v1alpha1.ConditionRegistered, reasonRegistrationTimeout, message)
}

// expire ends a claim whose node took too long for a condition. The reason is written before
// the deletion: the claim's pods are planned for again with patience.
func (j *joiner) expire(ctx context.Context, claim *v1alpha1.NodeClaim, condition, reason, message string) error {
	wrote, err := j.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		j.set(c, condition, metav1.ConditionFalse, reason, message)
	})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if wrote {
		log.FromContext(ctx).Info("node did not come", "reason", reason, "instance", claim.Status.InstanceID, "message", message)
		j.recorder.Eventf(claim, nil, corev1.EventTypeWarning, reason, "Register", "%s", message)
	}
	return j.delete(ctx, claim)
}

// lost ends a claim whose Node was removed although its finalizer says not to: a kubelet
// registers once, so its instance would run for nobody. The cache may just be behind, so the
// API server is asked.
func (j *joiner) lost(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	err := j.direct.Get(ctx, client.ObjectKey{Name: claim.Status.NodeName}, &corev1.Node{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("nodeclaim %s: get node %s: %w", claim.Name, claim.Status.NodeName, err)
	}
	log.FromContext(ctx).Info("node removed by force, deleting its claim", "node", claim.Status.NodeName, "instance", claim.Status.InstanceID)
	j.recorder.Eventf(claim, nil, corev1.EventTypeWarning, reasonNodeGone, "Register", "node %s was removed by force", claim.Status.NodeName)
	return j.delete(ctx, claim)
}

// likelyCause of an instance that no node comes of. The instance's own log, which only its owner
// can read, says which it is.
const likelyCause = "most often the cluster knows the nodes' role by another name than system:node:{{SessionName}}" +
	" (it needs an access entry of type EC2), or the instance cannot reach the API server"

// whyUnregistered says what is known about a node that did not register.
func (j *joiner) whyUnregistered(ctx context.Context, claim *v1alpha1.NodeClaim) (string, error) {
	message := fmt.Sprintf("instance %s did not register as node %s within %s", claim.Status.InstanceID, claim.Status.NodeName, j.timeout)
	var other corev1.Node
	err := j.client.Get(ctx, client.ObjectKey{Name: claim.Status.NodeName}, &other)
	if apierrors.IsNotFound(err) {
		return message + ": " + likelyCause, nil
	}
	if err != nil {
		return "", fmt.Errorf("nodeclaim %s: get node %s: %w", claim.Name, claim.Status.NodeName, err)
	}
	return fmt.Sprintf("%s: the node of that name has provider id %q, not %q", message, other.Spec.ProviderID, claim.Status.ProviderID), nil
}
