package nodeclaim

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/offering"
)

const (
	// drainMargin is what a drain is given beyond its pods' grace periods.
	drainMargin = 10 * time.Second
	// longestReserve bounds the part of a notice that is kept for the drain: a pod that
	// wants more would leave no time for a replacement of any node with it.
	longestReserve = time.Minute
	// lookAtProtection is how often a node that is replaced is looked at whose pods must not
	// be disrupted before its end.
	lookAtProtection = time.Minute
)

// interrupter owns the claims whose instances the cloud takes back, until they are deleted:
//
// That a capacity block ends is noticed here (block.go). Then, and for all notices:
//
//	notice ──▶ node tainted, claim Interrupted ──▶ room for its pods' successors is
//	           planned and bought (package allocate) ──▶ Replaced, or no more time ──▶ deleted
//
// The drain of the claim is termination's, which has until Status.EndsAt.
type interrupter struct {
	store
	catalog  Catalog
	recorder events.EventRecorder
}

func newInterrupter(s store, cfg Config) *interrupter {
	return &interrupter{store: s, catalog: cfg.Catalog, recorder: cfg.Recorder}
}

// heed does what a notice calls for at once; it tells whether it called for anything.
func (i *interrupter) heed(ctx context.Context, n cloud.Notice) (heeded bool, err error) {
	for _, id := range n.Instances {
		claim, err := cluster.ClaimByInstance(ctx, i.client, id)
		if err != nil {
			return heeded, err
		}
		if claim == nil || n.Kind == cloud.StateChange && claim.DeletionTimestamp != nil { // not ours, or our doing
			continue
		}
		heeded = true
		if err := i.interrupt(ctx, claim, n); err != nil {
			return heeded, fmt.Errorf("nodeclaim %s: instance %s: %w", claim.Name, id, err)
		}
	}
	return heeded, nil
}

// interrupt marks a claim and its node.
func (i *interrupter) interrupt(ctx context.Context, claim *v1alpha1.NodeClaim, n cloud.Notice) error {
	switch n.Kind { // before anything is planned anew
	case cloud.SpotInterruption, cloud.RebalanceRecommendation, cloud.ReservationInterruption:
		s := &claim.Status
		i.catalog.MarkUnavailable(offering.Key{InstanceType: s.InstanceType, Zone: s.Zone, CapacityType: s.CapacityType, ReservationID: s.ReservationID})
	}
	node, err := cluster.NodeByProviderID(ctx, i.client, claim.Status.ProviderID)
	if err != nil {
		return err
	}
	if n.Kind == cloud.RebalanceRecommendation {
		p, err := cluster.ProtectionOf(ctx, i.client, claim, node, i.clock.Now())
		if err != nil {
			return err
		}
		if p.By != "" {
			i.recorder.Eventf(claim, nil, corev1.EventTypeNormal, string(n.Kind), "Keep", "Not replaced before its interruption: %s", p)
			return nil
		}
	}
	if err := i.taint(ctx, node); err != nil {
		return err
	}
	message := announcement(n)
	wrote, err := i.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		if ends := metav1.NewTime(n.EndsAt); !n.EndsAt.IsZero() && (c.Status.EndsAt == nil || ends.Before(c.Status.EndsAt)) {
			c.Status.EndsAt = &ends
		}
		i.set(c, v1alpha1.ConditionInterrupted, metav1.ConditionTrue, string(n.Kind), message)
	})
	if apierrors.IsNotFound(err) || err == nil && !wrote {
		return nil
	}
	if err != nil {
		return err
	}
	log.FromContext(ctx).Info("interrupted", append(facts(claim), "nodeclaim", claim.Name, "kind", n.Kind, "noticeAge", i.clock.Since(n.At).Round(time.Millisecond).String(), "message", message)...)
	i.recorder.Eventf(claim, nil, corev1.EventTypeWarning, string(n.Kind), "Replace", "%s", message)
	if node != nil {
		i.recorder.Eventf(node, claim, corev1.EventTypeWarning, string(n.Kind), "Replace", "%s", message)
	}
	return nil
}

// announcement says for people what a notice means for an instance.
func announcement(n cloud.Notice) string {
	at := n.EndsAt.UTC().Format(time.RFC3339)
	switch n.Kind {
	case cloud.SpotInterruption:
		return "the cloud takes the spot instance back at " + at
	case cloud.RebalanceRecommendation:
		return "the cloud is likely to take the spot instance back"
	case cloud.ReservationInterruption:
		return "the cloud takes the reserved instance back at " + at
	case cloud.CapacityBlockEnd:
		return "the capacity block ends, and the cloud takes its instances back from " + at + " on"
	case cloud.ScheduledChange:
		return "the cloud has scheduled a change of the instance for " + at
	default:
		return "the instance ended at " + at
	}
}

// taint keeps new pods off a node.
func (i *interrupter) taint(ctx context.Context, node *corev1.Node) error {
	if node == nil || hasTaint(node, &disruptedTaint) {
		return nil
	}
	err := i.updateNode(ctx, node, func(n *corev1.Node) {
		if !hasTaint(n, &disruptedTaint) {
			n.Spec.Taints = append(n.Spec.Taints, disruptedTaint)
		}
	})
	return client.IgnoreNotFound(err)
}

// Reconcile deletes an interrupted claim once its pods can go elsewhere, or must go, and
// interrupts one whose capacity block ends.
func (i *interrupter) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := i.client.Get(ctx, req.NamespacedName, claim); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case claim.DeletionTimestamp != nil:
		return reconcile.Result{}, nil
	case !isTrue(claim, v1alpha1.ConditionInterrupted) && claim.Status.ReservationID != "":
		return i.awaitBlock(ctx, claim)
	case !isTrue(claim, v1alpha1.ConditionInterrupted):
		return reconcile.Result{}, nil
	}
	left, err := i.left(ctx, claim)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	switch replaced := isTrue(claim, v1alpha1.ConditionReplaced); {
	case left <= 0:
		log.FromContext(ctx).Info("interrupted node must be drained now", "node", claim.Status.NodeName, "instance", claim.Status.InstanceID,
			"endsAt", claim.Status.EndsAt.String())
	case replaced:
		kept, err := i.kept(ctx, claim)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
		if kept {
			return reconcile.Result{RequeueAfter: min(left, lookAtProtection)}, nil
		}
		log.FromContext(ctx).Info("interrupted node is replaced, draining it", "node", claim.Status.NodeName, "instance", claim.Status.InstanceID)
	case claim.Status.EndsAt == nil:
		return reconcile.Result{}, nil // it is not known to end: its pods stay until they have room
	default:
		return reconcile.Result{RequeueAfter: left}, nil
	}
	return reconcile.Result{}, i.delete(ctx, claim)
}

// kept tells whether somebody forbids to disrupt the node as long as the cloud does not.
func (i *interrupter) kept(ctx context.Context, claim *v1alpha1.NodeClaim) (bool, error) {
	node, err := cluster.NodeByProviderID(ctx, i.client, claim.Status.ProviderID)
	if err != nil {
		return false, err
	}
	p, err := cluster.ProtectionOf(ctx, i.client, claim, node, i.clock.Now())
	if err != nil || p.By == "" {
		return false, err
	}
	log.FromContext(ctx).Info("interrupted node is replaced, but stays for as long as it can", "node", claim.Status.NodeName, "because", p.String())
	return true, nil
}

// left is how long until the node's drain must begin; for ever where it is not known to end.
func (i *interrupter) left(ctx context.Context, claim *v1alpha1.NodeClaim) (time.Duration, error) {
	if claim.Status.EndsAt == nil {
		return math.MaxInt64, nil
	}
	reserve, err := i.reserve(ctx, claim)
	return claim.Status.EndsAt.Add(-reserve).Sub(i.clock.Now()), err
}

// reserve is how long before its end the drain of a node must begin.
func (i *interrupter) reserve(ctx context.Context, claim *v1alpha1.NodeClaim) (time.Duration, error) {
	if claim.Status.NodeName == "" {
		return 0, nil
	}
	pods, err := cluster.PodsOn(ctx, i.client, claim.Status.NodeName)
	if err != nil {
		return 0, err
	}
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return cluster.IsFinished(&p) || cluster.IsDaemonPod(&p) })
	longest := time.Duration(0)
	for p := range pods {
		longest = max(longest, podGrace(&pods[p]))
	}
	return min(longest+drainMargin, longestReserve), nil
}
