package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// launcher owns the claims that are not Launched: it buys their instances, or sees to
// it that none is left when they end before (abandon.go). The work queue runs one
// reconcile a claim at a time, so no claim is launched twice at once; across crashes
// cloud.Provider.Launch is idempotent by the claim's UID.
type launcher struct {
	store
	provider cloud.Provider
	catalog  Catalog
	recorder events.EventRecorder
	metrics  *metrics
	timeout  time.Duration
	settle   time.Duration

	outcomes outcomes
	doubts   doubts
	fleets   fleets
	// allowance is taken before each call that may buy.
	allowance *allowance
	backoff   workqueue.TypedRateLimiter[string] // by the name of a claim
}

// A launch that failed is repeated after retryFirst, then twice as long each time.
const (
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

func newLauncher(s store, cfg Config, m *metrics) *launcher {
	return &launcher{
		store:     s,
		provider:  cfg.Provider,
		catalog:   cfg.Catalog,
		recorder:  cfg.Recorder,
		metrics:   m,
		timeout:   cfg.LaunchTimeout,
		settle:    cfg.SettleTime,
		allowance: newAllowance(cfg.MaxLaunchesPerMinute, cfg.Clock),
		backoff:   workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryMost),
	}
}

// Reconcile brings one claim closer to Launched, or to its end.
func (l *launcher) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &v1alpha1.NodeClaim{}
	if err := l.client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			l.forget(req.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if isTrue(claim, v1alpha1.ConditionLaunched) {
		l.forget(req.Name)
		return reconcile.Result{}, nil
	}
	known, ended := l.outcomes.get(claim) // but the status does not say it, or not yet
	switch {
	case ended && known.reason == "":
		return reconcile.Result{}, l.conclude(ctx, claim, known)
	case claim.DeletionTimestamp != nil:
		return l.abandon(ctx, claim)
	case ended:
		return reconcile.Result{}, l.conclude(ctx, claim, known)
	case rejection(claim) != "": // and then we crashed
		return reconcile.Result{}, l.delete(ctx, claim)
	}
	// However old the claim looks, it is tried once: the API server's clock may not be ours.
	left := claim.CreationTimestamp.Add(l.timeout).Sub(l.clock.Now())
	// Nor is one given up for the wait for its turn.
	if left <= 0 && hasCondition(claim, v1alpha1.ConditionLaunched) && !hasReason(claim, v1alpha1.ConditionLaunched, reasonCapped) {
		return reconcile.Result{}, l.giveUp(ctx, claim)
	}
	return l.launch(ctx, claim, max(left, time.Second))
}

// conclude writes down how the claim's launch ended.
func (l *launcher) conclude(ctx context.Context, claim *v1alpha1.NodeClaim, known outcome) error {
	if known.reason != "" {
		return l.reject(ctx, claim, known.reason, known.message)
	}
	return l.record(ctx, claim, known)
}

// forget drops what was remembered of a claim.
func (l *launcher) forget(name string) {
	l.outcomes.forget(name)
	l.doubts.forget(name)
	l.backoff.Forget(name)
}

// launch buys the claim's instance. left is the time until the claim is given up.
func (l *launcher) launch(ctx context.Context, claim *v1alpha1.NodeClaim, left time.Duration) (reconcile.Result, error) {
	if err := l.addFinalizer(ctx, claim); err != nil {
		return reconcile.Result{}, err
	}
	class, missing, err := l.class(ctx, claim)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := l.allowance.recall(ctx, l.client); err != nil {
		return reconcile.Result{}, err
	}
	if missing != nil { // its watch wakes us
		return reconcile.Result{RequeueAfter: left}, l.notLaunched(ctx, claim, missing.reason, missing.message)
	}
	if claim.Spec.Fleet != nil {
		if f := l.fleets.of(claim, l.clock.Now()); !f.spent.Load() {
			return l.launchTogether(ctx, f, claim, class, left)
		}
		// The call that spent the fleet may have been for this claim, too, and since we looked.
		if known, ended := l.outcomes.get(claim); ended {
			return reconcile.Result{}, l.conclude(ctx, claim, known)
		}
	}
	if n, wait := l.allowance.take(false, claim); n == 0 {
		return l.capped(ctx, claim, wait)
	}
	instance, err := l.provider.Launch(ctx, claim, class)
	if err != nil {
		return l.failed(ctx, claim, left, err)
	}
	l.allowance.answered(false, claim)
	bought := outcome{instance: instance, class: class}
	l.outcomes.put(claim, bought)
	l.catalog.MarkUnavailable(instance.Unavailable...)
	return reconcile.Result{}, l.record(ctx, claim, bought)
}

// blocker is why a launch has to wait.
type blocker struct{ reason, message string }

// class finds the claim's class, nil for the launcher's defaults, or what is wrong with it.
func (l *launcher) class(ctx context.Context, claim *v1alpha1.NodeClaim) (*v1alpha1.EC2NodeClass, *blocker, error) {
	ref := claim.Spec.NodeClassRef
	class, err := l.classOf(ctx, claim)
	if err != nil || ref == nil {
		return nil, nil, err
	}
	if class == nil {
		return nil, &blocker{reasonClassNotFound, fmt.Sprintf("EC2NodeClass %s does not exist", ref.Name)}, nil
	}
	ready := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return nil, &blocker{reasonClassNotReady, fmt.Sprintf("EC2NodeClass %s is not resolved yet", ref.Name)}, nil
	}
	if ready.Status != metav1.ConditionTrue {
		return nil, &blocker{reasonClassNotReady, fmt.Sprintf("EC2NodeClass %s is not ready: %s", ref.Name, ready.Message)}, nil
	}
	return class, nil, nil
}

// failed acts on a launch that did not succeed: ends the claim when it cannot
// succeed and nothing was bought for it before, else tries again later.
func (l *launcher) failed(ctx context.Context, claim *v1alpha1.NodeClaim, left time.Duration, err error) (reconcile.Result, error) {
	out, final := l.verdict(claim, err)
	since := l.since(l.doubts.of(claim.Name), err, final, claim)
	nothingBought := final && !l.doubtful(since)
	l.allowance.answered(nothingBought, claim)
	if nothingBought {
		return reconcile.Result{}, l.reject(ctx, claim, out.reason, out.message)
	}
	l.doubts.note(claim.Name, since)
	wait := min(l.backoff.When(claim.Name), left)
	log.FromContext(ctx).Info("launch failed, will retry", "reason", passing(err), "in", wait.String(), "err", err.Error())
	return reconcile.Result{RequeueAfter: wait}, l.notLaunched(ctx, claim, passing(err), err.Error())
}

// verdict tells whether the error of a launch is the last word, and in that case how the
// claim ends. What the cloud has no capacity for is marked.
func (l *launcher) verdict(claim *v1alpha1.NodeClaim, err error) (out outcome, final bool) {
	switch {
	case errors.Is(err, cloud.ErrCapacity):
		refused := refusedOfferings(claim, err)
		l.catalog.MarkUnavailable(refused...)
		return outcome{reason: reasonInsufficientCapacity, message: "no capacity for " + describe(refused) + inTheCloudsWords(err)}, true
	case errors.Is(err, cloud.ErrBusy):
		return outcome{reason: reasonCloudBusy, message: err.Error()}, true
	case errors.Is(err, cloud.ErrInvalid):
		return outcome{reason: reasonInvalidRequest, message: err.Error()}, true
	case errors.Is(err, cloud.ErrDenied):
		return outcome{reason: reasonAccessDenied, message: err.Error()}, true
	}
	return outcome{}, false
}

// inTheCloudsWords tells a used-up quota, which the user can raise, from an empty pool.
func inTheCloudsWords(err error) string {
	const most = 300 // an answer may have words for each of 300 pools
	var capacity *cloud.CapacityError
	if !errors.As(err, &capacity) || capacity.Err == nil {
		return ""
	}
	words := capacity.Err.Error()
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return ": " + words
}

// passing is the reason of an error that may pass.
func passing(err error) string {
	if errors.Is(err, cloud.ErrThrottled) {
		return reasonThrottled
	}
	return reasonLaunchFailing
}

// refusedOfferings are those the cloud had none of: as it said, else all that the
// claim accepts, since it bought none of them.
func refusedOfferings(claim *v1alpha1.NodeClaim, err error) []offering.Key {
	var capacity *cloud.CapacityError
	if errors.As(err, &capacity) && len(capacity.Offerings) > 0 {
		return capacity.Offerings
	}
	var all []offering.Key
	for _, o := range claim.Spec.Accepted() {
		all = append(all, offering.Key{InstanceType: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ReservationID: o.ReservationID})
	}
	return all
}

// describe names offerings for people, the first few of them.
func describe(keys []offering.Key) string {
	const most = 5
	var names []string
	for _, k := range keys[:min(most, len(keys))] {
		names = append(names, fmt.Sprintf("%s/%s/%s", k.InstanceType, k.Zone, k.CapacityType))
	}
	if more := len(keys) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// notLaunched says on the claim what its launch waits for. Only a change of reason is
// written: messages carry request ids, which differ every time. That it failed with an
// unknown outcome stays, for a later leader.
func (l *launcher) notLaunched(ctx context.Context, claim *v1alpha1.NodeClaim, reason, message string) error {
	if hasReason(claim, v1alpha1.ConditionLaunched, reason) || hasReason(claim, v1alpha1.ConditionLaunched, reasonLaunchFailing) {
		return nil
	}
	_, err := l.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		l.set(c, v1alpha1.ConditionLaunched, metav1.ConditionUnknown, reason, message)
	})
	return client.IgnoreNotFound(err)
}

// reject ends a claim that will not be launched. The reason is written before the
// deletion: it tells abandon whether anything can have been bought.
func (l *launcher) reject(ctx context.Context, claim *v1alpha1.NodeClaim, reason, message string) error {
	l.outcomes.put(claim, outcome{reason: reason, message: message})
	wrote, err := l.updateStatus(ctx, claim, func(c *v1alpha1.NodeClaim) {
		l.set(c, v1alpha1.ConditionLaunched, metav1.ConditionFalse, reason, message)
	})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if wrote {
		log.FromContext(ctx).Info("launch given up", "reason", reason, "message", message, "pods", len(claim.HeldPods()))
		l.recorder.Eventf(claim, nil, corev1.EventTypeWarning, reason, "Launch", "%s", message)
	}
	return l.delete(ctx, claim)
}

// giveUp ends a claim that took too long, saying what kept it.
func (l *launcher) giveUp(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	message := fmt.Sprintf("no instance after %s", l.timeout)
	if last := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched); last != nil {
		message += ": " + last.Message
	}
	return l.reject(ctx, claim, reasonLaunchTimeout, message)
}
