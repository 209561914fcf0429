package allocate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/pack"
)

// job is work for the planner; one of its fields is set.
type job struct {
	batch    *batch
	cancel   *cancelledClaim
	released *releasedPod
}

// batch is the pods to plan for.
type batch struct {
	pods   []*corev1.Pod
	claims []*v1alpha1.NodeClaim // that exist or were just written
}

type cancelledClaim struct{ name, reason string }

type releasedPod struct {
	claim string
	pod   types.UID
}

// result is what became of a batch.
type result struct {
	claims   []*v1alpha1.NodeClaim
	unplaced []fit.Unplaced
	// failed pods were planned for, but the plan could not be made or written.
	failed map[types.UID]string
}

const (
	writeTimeout = 10 * time.Second // for one write to the API server
	typesTimeout = 20 * time.Second // for a pool's instance types, when they are not known yet
	writers      = 16               // NodeClaims written at the same time
)

// planner does, one after the other, what would hold up the loop.
type planner struct {
	cfg     Config
	metrics *metrics
	log     logr.Logger
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
	for _, pod := range b.pods {
		byScheduler[pod.Spec.SchedulerName] = append(byScheduler[pod.Spec.SchedulerName], pod)
	}
	for name, pods := range byScheduler {
		claims, unplaced, err := p.decide(ctx, p.cfg.Engines[name], pods, b.claims)
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
func (p *planner) decide(ctx context.Context, engine *fit.Engine, pods []*corev1.Pod, claims []*v1alpha1.NodeClaim) ([]*v1alpha1.NodeClaim, []fit.Unplaced, error) {
	start := time.Now()
	view, err := p.look(ctx, claims)
	if err != nil {
		return nil, nil, err
	}
	space, err := engine.NewSpace(ctx, fit.Input{
		Pods: pods, Nodes: view.nodes, Templates: view.templates, DaemonSets: view.daemonSets,
		Budget: view.budget, Alternatives: p.cfg.Alternatives,
	})
	if err != nil {
		return nil, nil, err
	}
	fitted := time.Now()
	var planned []fit.Planned
	var price, bound float64
	// A pod may fit only once another of its batch has its place (pod affinity): plan
	// on while that places any.
	for {
		plan := pack.Pack(space.Problem())
		if len(plan.Nodes) == 0 {
			break
		}
		planned = append(planned, space.Planned(plan)...)
		price, bound = price+plan.Price, bound+plan.LowerBound
	}
	unplaced := view.explain(space.Unplaced())
	p.metrics.planned(fitted.Sub(start), time.Since(fitted), price, bound)
	decided := make([]*v1alpha1.NodeClaim, 0, len(planned))
	for _, n := range planned {
		decided = append(decided, view.claim(n))
	}
	p.log.Info("planned", "pods", len(pods), "nodeclaims", len(decided), "types", summary(decided),
		"pricePerHour", dollars(price), "lowerBound", dollars(bound), "unplaced", len(unplaced),
		"took", time.Since(start).Round(time.Millisecond))
	return decided, unplaced, nil
}

// write creates the claims; the pods of those that cannot be written have failed.
func (p *planner) write(ctx context.Context, claims []*v1alpha1.NodeClaim, failed map[types.UID]string) []*v1alpha1.NodeClaim {
	var mu sync.Mutex
	var written []*v1alpha1.NodeClaim
	workqueue.ParallelizeUntil(ctx, writers, len(claims), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		claim := claims[i]
		err := p.cfg.Client.Create(ctx, claim)
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

// markReleased records on the claim that a pod no longer holds a place there.
func (p *planner) markReleased(ctx context.Context, r releasedPod) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var claim v1alpha1.NodeClaim
	if err := p.cfg.Client.Get(ctx, types.NamespacedName{Name: r.claim}, &claim); err != nil {
		if client.IgnoreNotFound(err) != nil {
			p.log.Error(err, "mark pod as released", "nodeclaim", r.claim)
		}
		return
	}
	before := claim.DeepCopy()
	claim.Status.Released = append(claim.Status.Released, r.pod)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := p.cfg.Client.Status().Patch(ctx, &claim, patch); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pod as released", "nodeclaim", r.claim)
	}
}

func dollars(price float64) string { return fmt.Sprintf("$%.4f", price) }
