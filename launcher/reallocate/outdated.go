package reallocate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// lookForDrift is how often a node is held against what it should be, besides whenever its
// pool or class changes: what the launcher's defaults stand for changes without an event.
const lookForDrift = 5 * time.Minute

// byOutdatedness replaces a node that has expired or drifted. It returns how
// long to wait until looking again; zero to wait for an event.
//
// Where a node stands is in its claim's conditions Expired and Drifted, as with Empty.
func (r *remover) byOutdatedness(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) (time.Duration, error) {
	causes, pool, wait, err := r.causes(ctx, claim, node)
	if err != nil {
		return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	for _, c := range causes {
		if err := r.tell(ctx, claim, node, c); err != nil {
			return 0, client.IgnoreNotFound(err)
		}
	}
	if rest := r.rests.left(claim, r.clock.Now()); rest > 0 {
		return sooner(wait, rest), nil
	}
	for _, c := range causes {
		if c.message == "" {
			continue
		}
		why, err := r.promised(ctx, claim, node)
		if err != nil {
			return 0, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
		if why != "" { // whose pod is on its way: it tells when it has come
			return wait, c.keep(ctx, claim, node, why)
		}
		next, err := r.remove(ctx, claim, node, pool, c)
		wait = sooner(wait, next)
		if err != nil || !r.waiting.has(claim.Name) {
			return wait, err
		}
		// A budget is in the way of one reason; it may have a place for another.
	}
	return wait, nil
}

// causes are expiration and drift, each with an empty message where it does not hold, the
// pool, and how long until that may change without an event. Neither holds where the pool is
// gone: nobody says what its nodes should be.
func (r *remover) causes(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node) ([]cause, *v1alpha1.NodePool, time.Duration, error) {
	drifted := r.causeOf(v1alpha1.ReasonDrifted, reasonNotDrifted, "")
	pool := &v1alpha1.NodePool{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: claim.Spec.NodePool}, pool); err != nil {
		if apierrors.IsNotFound(err) {
			return []cause{r.causeOf(v1alpha1.ReasonExpired, reasonExpired, ""), drifted}, nil, 0, nil
		}
		return nil, nil, 0, fmt.Errorf("get pool: %w", err)
	}
	age, wait, err := expired(claim, pool, r.clock.Now())
	if err != nil {
		return nil, nil, 0, err
	}
	expiration := r.causeOf(v1alpha1.ReasonExpired, reasonExpired, age)
	b, err := r.blueprint(ctx, pool)
	if err != nil {
		return nil, nil, 0, err
	}
	d, err := driftOf(claim, node, b)
	if err != nil {
		return nil, nil, 0, err
	}
	if d != nil {
		drifted = r.causeOf(v1alpha1.ReasonDrifted, d.reason, d.message)
	}
	wait = sooner(wait, lookForDrift)
	if begunFor(claim, v1alpha1.ConditionDrifted) { // to be gone on with
		return []cause{drifted, expiration}, pool, wait, nil
	}
	return []cause{expiration, drifted}, pool, wait, nil
}

// causeOf makes a cause that holds for nodes with pods on them.
func (r *remover) causeOf(reason v1alpha1.DisruptionReason, condition, message string) cause {
	c := cause{reason: reason, condition: condition, message: message, withPods: true}
	c.needed = func(ctx context.Context, _ client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node) (string, error) {
		return r.promised(ctx, claim, node)
	}
	c.keep = func(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, why string) error {
		return r.block(ctx, claim, node, c, reasonPromised, why)
	}
	return c
}

// blueprint reads what a node of the pool would be made of now.
func (r *remover) blueprint(ctx context.Context, pool *v1alpha1.NodePool) (blueprint, error) {
	b := blueprint{pool: pool}
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		resolved, err := r.resolver.Resolve(ctx, nil)
		if err == nil {
			b.resolved = &resolved
		}
		return b, nil // what cannot be resolved has not changed as far as anybody knows
	}
	class := &v1alpha1.EC2NodeClass{}
	err := r.client.Get(ctx, client.ObjectKey{Name: ref.Name}, class)
	if apierrors.IsNotFound(err) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("get class %s: %w", ref.Name, err)
	}
	b.class = class
	ready := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == class.Generation {
		b.resolved = &class.Status
	}
	return b, nil
}

// tell brings the cause's condition in line with whether it holds, and ends a removal that
// had begun for a cause that holds no more.
func (r *remover) tell(ctx context.Context, claim *v1alpha1.NodeClaim, node *corev1.Node, c cause) error {
	was := meta.FindStatusCondition(claim.Status.Conditions, string(c.reason))
	held := was != nil && was.Status == metav1.ConditionTrue
	switch {
	case c.message != "" && !held:
		if _, err := r.setCondition(ctx, claim, false, r.conditionOf(c, c.condition, c.message), nil); err != nil {
			return err
		}
		log.FromContext(ctx).Info("node is outdated", "node", node.Name, "for", c.reason, "reason", c.condition, "message", c.message)
		r.recorder.Eventf(node, claim, corev1.EventTypeNormal, string(c.reason), "Wait", "%s", c.message)
	case c.message == "" && held:
		begun := r.begun(claim, c.reason)
		if begun {
			if err := r.untaint(ctx, node); err != nil {
				return err
			}
		}
		over := r.conditionOf(c, "Not"+string(c.reason), "holds no more")
		over.Status = metav1.ConditionFalse
		if _, err := r.setCondition(ctx, claim, false, over, nil); err != nil {
			return err
		}
		r.waiting.remove(claim.Name)
		r.places.free(claim.Name)
		log.FromContext(ctx).Info("node no longer outdated", "node", node.Name, "for", c.reason, "removalBegun", begun)
		if begun {
			r.recorder.Eventf(node, claim, corev1.EventTypeNormal, "DisruptionCancelled", "Keep", "No longer %s", c.reason)
		}
	}
	return nil
}
