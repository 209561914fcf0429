package allocate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// job is work for the planner; one of its fields is set, beside overtaken.
type job struct {
	// overtaken jobs waited while a batch was planned, and go before the next.
	overtaken bool

	batch    *batch
	cancel   *cancelledClaim
	released *releasedPods
	seated   *seatedPods
	replaced *replacedClaim
}

// batch is the pods to plan for.
type batch struct {
	pods   []*corev1.Pod
	toCome map[types.UID]kin     // those of them that do not exist yet
	needs  map[string]need       // of the groups among them
	claims []*v1alpha1.NodeClaim // that exist or were just written
	// standIns are for the pods that claims have seats for.
	standIns map[string][]*corev1.Pod
	// late claims, by name, are not to be given more pods.
	late sets.Set[string]
	// leaving claims count against limits and capacity reservations only.
	leaving []*v1alpha1.NodeClaim
	// succeeds names, of pods to come that are successors, the interrupted claim of those they follow.
	succeeds map[types.UID]string
}

type cancelledClaim struct{ name, reason string }

type releasedPods struct {
	claim string
	pods  []types.UID
}

// result is what became of a batch.
type result struct {
	claims   []*v1alpha1.NodeClaim // that were written
	grown    []*v1alpha1.NodeClaim // that were given more pods
	unplaced []fit.Unplaced
	// refused groups, by name, of which too few pods could be placed.
	refused map[string]refusal
	// failed pods were planned for, but the plan could not be made or written.
	failed map[types.UID]string
	// gone pods were deleted before they were planned for.
	gone []types.UID
	// seats of the claims that were written, and of those that have room to spare.
	seats []seat
	// succeeded is what became of successors, if the batch was of them.
	succeeded *succeeded
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
	lookout cluster.Lookout
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
			case j.seated != nil:
				p.markSeated(ctx, *j.seated)
			case j.replaced != nil:
				p.markReplaced(ctx, *j.replaced)
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
	r := result{failed: map[types.UID]string{}, refused: map[string]refusal{}, succeeded: newSucceeded(b)}
	byScheduler := map[string][]*corev1.Pod{}
	b.pods, r.gone = p.existing(ctx, b.pods, b.toCome)
	for _, pod := range b.pods {
		byScheduler[pod.Spec.SchedulerName] = append(byScheduler[pod.Spec.SchedulerName], pod)
	}
	for _, name := range slices.Sorted(maps.Keys(byScheduler)) {
		pods := byScheduler[name]
		if p.cfg.Engines[name] == nil { // reserved for by an earlier leader, whose configuration knew it
			for _, pod := range pods {
				r.unplaced = append(r.unplaced, fit.Unplaced{Pod: pod, Reasons: []string{unknownScheduler(name)}})
			}
			continue
		}
		view, plan, refused, err := p.decide(ctx, p.cfg.Engines[name], pods, b)
		if err != nil {
			p.log.Error(err, "planning failed", "pods", len(pods))
			for _, pod := range pods {
				r.failed[pod.UID] = "planning failed: " + err.Error()
			}
			continue
		}
		maps.Copy(r.refused, refused)
		r.unplaced = append(r.unplaced, view.explain(plan.Unplaced)...)
		claims, seats := view.claims(plan, b)
		written := p.write(ctx, claims, r.failed)
		if r.succeeded != nil {
			r.succeeded.place(view, plan, claims, written)
		}
		grown, spare := p.addTo(ctx, view, plan.Reused, b.toCome, r.failed)
		r.claims, r.grown, r.seats = append(r.claims, written...), append(r.grown, grown...), slices.Concat(r.seats, seats, spare)
		b.claims = append(replace(b.claims, grown), written...)
		b.giveSeats(view, plan.Reused)
	}
	return r
}

// try makes a plan for pods of one scheduler.
func (p *planner) try(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, b batch) (*view, *fit.Plan, error) {
	start := time.Now()
	view, err := p.look(ctx, pods, b)
	if err != nil {
		return nil, nil, err
	}
	improve := min(p.cfg.Improve, time.Duration(len(pods))*100*time.Microsecond)
	plan, err := engine.Plan(ctx, fit.Input{
		Pods: pods, Nodes: view.nodes, Open: sets.KeySet(view.rooms), Guessed: view.guessed, Templates: view.templates, DaemonSets: view.daemonSets,
		Budget: view.budget, Variety: view.variety, Features: view.features, Alternatives: p.cfg.Alternatives, Improve: improve,
	})
	view.took = time.Since(start)
	return view, plan, err
}

// note counts and logs the plan that was decided on.
func (p *planner) note(view *view, plan *fit.Plan, pods int) {
	p.metrics.planned(plan)
	reused := 0
	for _, r := range plan.Reused {
		reused += len(r.Pods)
	}
	p.log.Info("planned", "pods", pods, "nodeclaims", len(plan.Nodes), "types", view.summary(plan),
		"pricePerHour", dollars(plan.Price), "lowerBound", dollars(plan.LowerBound), "reusingRoom", reused, "unplaced", len(plan.Unplaced),
		"took", view.took.Round(time.Millisecond), "looked", plan.Took.Fit.Round(time.Millisecond),
		"packed", plan.Took.Pack.Round(time.Millisecond), "verified", plan.Took.Verify.Round(time.Millisecond))
}

// existing drops the pods that were deleted on their way here, and takes the others as the
// API server has them: a client names pods, what they want is not its to say. One that the
// cache does not show may just be too new for it, so the API server is asked.
func (p *planner) existing(ctx context.Context, pods []*corev1.Pod, toCome map[types.UID]kin) (kept []*corev1.Pod, gone []types.UID) {
	for _, pod := range pods {
		if _, expected := toCome[pod.UID]; expected {
			kept = append(kept, pod)
		} else if found := p.find(ctx, pod); found != nil {
			kept = append(kept, found)
		} else {
			gone = append(gone, pod.UID)
		}
	}
	return kept, gone
}

// find returns a pod as the API server has it; nil if it is gone. In doubt it is there, as it
// was handed over.
func (p *planner) find(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	found := &corev1.Pod{}
	if p.cfg.Client.Get(ctx, client.ObjectKeyFromObject(pod), found) == nil && found.UID == pod.UID {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	switch err := p.cfg.Live.Get(ctx, client.ObjectKeyFromObject(pod), found); {
	case err == nil && found.UID == pod.UID:
		return found
	case err == nil, apierrors.IsNotFound(err):
		return nil
	default:
		return pod
	}
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

// addTo records on claims in flight the pods that get their room to spare; the pods of
// those that cannot be written have failed. Pods that are still to come get seats.
func (p *planner) addTo(ctx context.Context, v *view, reused []fit.Reused, toCome map[types.UID]kin, failed map[types.UID]string) (added []*v1alpha1.NodeClaim, seats []seat) {
	for _, r := range reused {
		name := v.rooms[r.Node].Name
		pods, more := seatsOn(name, r.Pods, toCome)
		seats = append(seats, more...)
		if len(pods) == 0 {
			continue
		}
		claim, err := p.add(ctx, name, reservedPods(pods))
		if err == nil {
			added = append(added, claim)
			continue
		}
		p.log.Error(err, "reserve room to spare", "nodeclaim", name, "pods", len(pods))
		for _, pod := range pods {
			failed[pod.UID] = "room to spare could not be reserved: " + err.Error()
		}
	}
	return added, seats
}

func (p *planner) add(ctx context.Context, name string, pods []v1alpha1.ReservedPod) (*v1alpha1.NodeClaim, error) {
	return p.update(ctx, name, func(claim *v1alpha1.NodeClaim) error {
		if claim.DeletionTimestamp != nil {
			return fmt.Errorf("nodeclaim %s is being deleted", name)
		}
		for _, pod := range pods {
			if !slices.ContainsFunc(claim.HeldPods(), func(h v1alpha1.ReservedPod) bool { return h.UID == pod.UID }) {
				claim.Status.Added = append(claim.Status.Added, pod)
			}
		}
		return nil
	})
}

// update changes the status of a claim as the API server has it now.
func (p *planner) update(ctx context.Context, name string, change func(*v1alpha1.NodeClaim) error) (*v1alpha1.NodeClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := &v1alpha1.NodeClaim{}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := p.cfg.Live.Get(ctx, types.NamespacedName{Name: name}, claim); err != nil {
			return err
		}
		before := claim.DeepCopy()
		if err := change(claim); err != nil {
			return err
		}
		if equality.Semantic.DeepEqual(before.Status, claim.Status) {
			return nil // done already
		}
		claim.SyncColumns()
		return p.cfg.Client.Status().Patch(ctx, claim, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	return claim, err
}

// replace puts the new versions of some claims in the place of the old ones.
func replace(claims, by []*v1alpha1.NodeClaim) []*v1alpha1.NodeClaim {
	replaced := slices.Clone(claims)
	for i, c := range replaced {
		for _, n := range by {
			if n.Name == c.Name {
				replaced[i] = n
			}
		}
	}
	return replaced
}

// lostAnswers are the reasons of errors after which a write may have been done or not.
var lostAnswers = []metav1.StatusReason{
	metav1.StatusReasonUnknown, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout,
	metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable,
}

// create writes a claim, unless another leader may have planned for its pods. When the answer
// is lost the claim may exist all the same: it has its name from us, so that it can be asked
// for instead of being written twice.
func (p *planner) create(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	if err := p.cfg.Leads(); err != nil {
		return err
	}
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

// cancel deletes a claim that nobody needs.
func (p *planner) cancel(ctx context.Context, c cancelledClaim) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := &v1alpha1.NodeClaim{}
	claim.Name = c.name
	if err := p.cfg.Client.Delete(ctx, claim); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "cancel NodeClaim; it will be removed as an empty node", "nodeclaim", c.name)
		return
	}
	p.log.Info("nodeclaim cancelled", "nodeclaim", c.name, "because", c.reason)
}

// markReleased records on the claim that pods no longer hold a place there.
func (p *planner) markReleased(ctx context.Context, r releasedPods) {
	_, err := p.update(ctx, r.claim, func(claim *v1alpha1.NodeClaim) error {
		for _, uid := range r.pods {
			if !slices.Contains(claim.Status.Released, uid) {
				claim.Status.Released = append(claim.Status.Released, uid)
			}
		}
		return nil
	})
	if client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pods as released", "nodeclaim", r.claim, "pods", len(r.pods))
	}
}

func dollars(price float64) string { return fmt.Sprintf("$%.4f", price) }
