package allocate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// job is work for the planner; one of its fields is set.
type job struct {
	batch    *batch
	cancel   *cancelledClaim
	released *releasedPods
}

// batch is the pods to plan for.
type batch struct {
	pods   []*corev1.Pod
	claims []*v1alpha1.NodeClaim // that exist or were just written
	// leaving claims count against limits only.
	leaving []*v1alpha1.NodeClaim
}

type cancelledClaim struct{ name, reason string }

type releasedPods struct {
	claim string
	pods  []types.UID
}

// result is what became of a batch.
type result struct {
	claims   []*v1alpha1.NodeClaim
	unplaced []fit.Unplaced
	// failed pods were planned for, but the plan could not be made or written.
	failed map[types.UID]string
	// gone pods were deleted before they were planned for.
	gone []types.UID
}

const (
	writeTimeout = 10 * time.Second // for one write to the API server
	lostTimeout  = 30 * time.Second // for the API server to tell whether a lost write was done
	typesTimeout = 20 * time.Second // for a pool's instance types, when they are not known yet
	writers      = 16               // NodeClaims written at the same time
)

// planner does, one after the other, what would hold up the loop.
type planner struct {
	cfg     Config
	metrics *metrics
	log     logr.Logger
	offers  offering.OfferCache
}

func (p *planner) run(ctx context.Context, jobs <-chan job, results chan<- result) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-jobs:
			switch {
			case j.cancel != nil:
				p.cancel(ctx, *j.cancel)
			case j.released != nil:
				p.markReleased(ctx, *j.released)
			case j.batch != nil:
				select {
				case results <- p.plan(ctx, *j.batch):
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

// plan plans a batch, scheduler by scheduler, and writes the claims.
func (p *planner) plan(ctx context.Context, b batch) result {
	r := result{failed: map[types.UID]string{}}
	byScheduler := map[string][]*corev1.Pod{}
	b.pods, r.gone = p.existing(ctx, b.pods)
	for _, pod := range b.pods {
		byScheduler[pod.Spec.SchedulerName] = append(byScheduler[pod.Spec.SchedulerName], pod)
	}
	for name, pods := range byScheduler {
		claims, unplaced, err := p.decide(ctx, p.cfg.Engines[name], pods, b)
		if err != nil {
			p.log.Error(err, "planning failed", "pods", len(pods))
			for _, pod := range pods {
				r.failed[pod.UID] = "planning failed: " + err.Error()
			}
			continue
		}
		r.unplaced = append(r.unplaced, unplaced...)
		written := p.write(ctx, claims, r.failed)
		r.claims = append(r.claims, written...)
		b.claims = append(b.claims, written...)
	}
	return r
}

// decide makes the claims for pods of one scheduler.
func (p *planner) decide(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, b batch) ([]*v1alpha1.NodeClaim, []fit.Unplaced, error) {
	start := time.Now()
	view, err := p.look(ctx, b.claims, b.leaving)
	if err != nil {
		return nil, nil, err
	}
	plan, err := engine.Plan(ctx, fit.Input{
		Pods: pods, Nodes: view.nodes, Templates: view.templates, DaemonSets: view.daemonSets,
		Budget: view.budget, Alternatives: p.cfg.Alternatives,
	})
	if err != nil {
		return nil, nil, err
	}
	unplaced := view.explain(plan.Unplaced)
	p.metrics.planned(plan)
	decided := make([]*v1alpha1.NodeClaim, 0, len(plan.Nodes))
	for _, n := range plan.Nodes {
		decided = append(decided, view.claim(n))
	}
	p.log.Info("planned", "pods", len(pods), "nodeclaims", len(decided), "types", summary(decided),
		"pricePerHour", dollars(plan.Price), "lowerBound", dollars(plan.LowerBound), "unplaced", len(unplaced),
		"took", time.Since(start).Round(time.Millisecond))
	return decided, unplaced, nil
}

// existing drops the pods that were deleted on their way here. One that the cache does not
// show may just be too new for it, so the API server is asked.
func (p *planner) existing(ctx context.Context, pods []*corev1.Pod) (kept []*corev1.Pod, gone []types.UID) {
	for _, pod := range pods {
		if p.exists(ctx, pod) {
			kept = append(kept, pod)
		} else {
			gone = append(gone, pod.UID)
		}
	}
	return kept, gone
}

func (p *planner) exists(ctx context.Context, pod *corev1.Pod) bool {
	var found corev1.Pod
	if p.cfg.Client.Get(ctx, client.ObjectKeyFromObject(pod), &found) == nil && found.UID == pod.UID {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := p.cfg.Live.Get(ctx, client.ObjectKeyFromObject(pod), &found)
	if err == nil {
		return found.UID == pod.UID
	}
	return !apierrors.IsNotFound(err) // in doubt it is there
}

// write creates the claims; the pods of those that cannot be written have failed.
func (p *planner) write(ctx context.Context, claims []*v1alpha1.NodeClaim, failed map[types.UID]string) []*v1alpha1.NodeClaim {
	var mu sync.Mutex
	var written []*v1alpha1.NodeClaim
	workqueue.ParallelizeUntil(ctx, writers, len(claims), func(i int) {
		claim := claims[i]
		err := p.create(ctx, claim)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			written = append(written, claim)
			return
		}
		p.log.Error(err, "write NodeClaim", "nodepool", claim.Spec.NodePool)
		for _, pod := range claim.Spec.Pods {
			failed[pod.UID] = "NodeClaim could not be written: " + err.Error()
		}
	})
	return written
}

// lostAnswers are the reasons of errors after which a write may have been done or not.
var lostAnswers = []metav1.StatusReason{
	metav1.StatusReasonUnknown, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout,
	metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable,
}

// create writes a claim. When the answer is lost the claim may exist all the same: it has
// its name from us, so that it can be asked for instead of being written twice.
func (p *planner) create(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	write, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := p.cfg.Client.Create(write, claim)
	if err == nil || !slices.Contains(lostAnswers, apierrors.ReasonForError(err)) {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, lostTimeout)
	defer cancel()
	key, found := client.ObjectKeyFromObject(claim), &v1alpha1.NodeClaim{}
	askErr := wait.PollUntilContextCancel(ask, time.Second, true, func(ctx context.Context) (bool, error) {
		switch getErr := p.cfg.Live.Get(ctx, key, found); {
		case getErr == nil:
			return true, nil
		case apierrors.IsNotFound(getErr):
			return false, err
		default:
			return false, nil // the API server is still away
		}
	})
	if askErr != nil {
		return err
	}
	*claim = *found
	return nil
}

// cancel deletes a claim that nobody needs before it is launched.
func (p *planner) cancel(ctx context.Context, c cancelledClaim) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := &v1alpha1.NodeClaim{}
	claim.Name = c.name
	if err := p.cfg.Client.Delete(ctx, claim); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "cancel NodeClaim; it will be removed as an empty node", "nodeclaim", c.name)
		return
	}
	p.log.Info("nodeclaim cancelled before launch", "nodeclaim", c.name, "because", c.reason)
}

// markReleased records on the claim that pods no longer hold a place there.
func (p *planner) markReleased(ctx context.Context, r releasedPods) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var claim v1alpha1.NodeClaim
		if err := p.cfg.Live.Get(ctx, types.NamespacedName{Name: r.claim}, &claim); err != nil {
			return err
		}
		before := claim.DeepCopy()
		for _, uid := range r.pods {
			if !slices.Contains(claim.Status.Released, uid) {
				claim.Status.Released = append(claim.Status.Released, uid)
			}
		}
		return p.cfg.Client.Status().Patch(ctx, &claim, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	if client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pods as released", "nodeclaim", r.claim, "pods", len(r.pods))
	}
}

func dollars(price float64) string { return fmt.Sprintf("$%.4f", price) }
