package allocate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
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
	// below is, by name, what may be spent in the place of such claims at most, where they are
	// removed to save money.
	below map[string]float64
	// frugal batches buy nothing.
	frugal bool
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
	writers      = 16               // NodeClaims written at the same time
)

// planner does, one after the other, what would hold up the loop.
type planner struct {
	cfg     Config
	metrics *metrics
	log     logr.Logger
	market  market.Observer
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
		Pods: pods, Nodes: view.nodes, Open: sets.KeySet(view.rooms), Guessed: view.guessed, Templates: view.Templates, DaemonSets: view.DaemonSets,
		Budget: view.Budget, Variety: view.Variety, Features: view.features, Frugal: b.frugal, Alternatives: p.cfg.Alternatives, Improve: improve,
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

func dollars(price float64) string { return fmt.Sprintf("$%.4f", price) }
