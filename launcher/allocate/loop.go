package allocate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// loop is the state of a running Allocator; only its goroutine touches it.
type loop struct {
	cfg     Config
	metrics *metrics
	log     logr.Logger
	ctx     context.Context //nolint:containedctx // the life of the loop

	pods map[types.UID]*entry
	// claims by name, as last seen or as just written: what the planner must count
	// although the cache may not show it yet.
	claims map[string]*v1alpha1.NodeClaim

	// leaving claims are on their way out; their instances still count against limits.
	leaving map[string]*v1alpha1.NodeClaim
	// released pods by claim, until the claim is gone: what the cache shows may be older.
	released map[string]sets.Set[types.UID]

	batchSince, lastPod time.Time // of the open batch; zero when no pod waits
	timer               *time.Timer
	planning            bool
	stale               string              // what changed while the planner was at work, if it matters
	cancelled           sets.Set[types.UID] // claims that were told to go, until they do
	ended               sets.Set[types.UID] // claims that ended while the planner was at work
	jobs                chan<- job
	queue               []job // waiting to be taken by the planner

	// watchers by the channel they are told on, with what closes when one is gone.
	watchers map[chan []Reservation]<-chan struct{}
	changed  []Reservation // to be told to the watchers
}

// Run runs the loop until ctx ends. The client's caches must have synced.
func (a *Allocator) Run(ctx context.Context) error {
	events, err := a.subscribe(ctx)
	if err != nil {
		return err
	}
	jobs, results := make(chan job), make(chan result)
	l := &loop{
		cfg: a.cfg, metrics: a.metrics, log: logf.FromContext(ctx).WithName("allocate"), ctx: ctx,
		pods: map[types.UID]*entry{}, claims: map[string]*v1alpha1.NodeClaim{}, leaving: map[string]*v1alpha1.NodeClaim{}, cancelled: sets.New[types.UID](), released: map[string]sets.Set[types.UID]{},
		timer: time.NewTimer(time.Hour), jobs: jobs, watchers: map[chan []Reservation]<-chan struct{}{},
	}
	if err := l.recover(); err != nil {
		return err
	}
	planner := planner{cfg: a.cfg, metrics: a.metrics, log: l.log}
	done := make(chan struct{})
	go func() {
		defer close(done)
		planner.run(ctx, jobs, results)
	}()
	defer func() { <-done }()
	close(a.running)
	l.run(a.calls, events, results)
	return nil
}

func (l *loop) run(calls <-chan func(*loop), events <-chan event, results <-chan result) {
	defer l.closeWatchers()
	for {
		catalog := l.cfg.Catalog.Changed()
		jobs, next := l.nextJob()
		select {
		case jobs <- next:
			l.queue = l.queue[1:]
		case <-l.ctx.Done():
			return
		case f := <-calls:
			f(l)
		case e := <-events:
			l.observe(e)
			for range len(events) { // what is there already costs one look at the batch
				l.observe(<-events)
			}
		case r := <-results:
			l.planned(r)
		case <-catalog:
			l.reconsider("offerings changed")
		case <-l.timer.C:
		}
		l.schedule()
		l.publish()
	}
}

// nextJob returns the job to hand to the planner; the channel is nil when there is none.
func (l *loop) nextJob() (chan<- job, job) {
	if len(l.queue) == 0 {
		return nil, job{}
	}
	return l.jobs, l.queue[0]
}

// recover reads the reservations that earlier leaders made.
func (l *loop) recover() error {
	var claims v1alpha1.NodeClaimList
	if err := l.cfg.Client.List(l.ctx, &claims); err != nil {
		return fmt.Errorf("recover reservations: %w", err)
	}
	// Where two claims name one pod, the newer one holds it.
	slices.SortFunc(claims.Items, func(a, b v1alpha1.NodeClaim) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	for i := range claims.Items {
		l.claimSeen(&claims.Items[i])
	}
	l.log.Info("reservations recovered", "nodeclaims", len(claims.Items), "pods", len(l.pods))
	return nil
}

// reserve takes pods from a scheduler.
func (l *loop) reserve(pods []*corev1.Pod) []Verdict {
	now := time.Now()
	verdicts := make([]Verdict, 0, len(pods))
	for _, pod := range pods {
		v := Verdict{Pod: pod.UID, Code: Accepted}
		switch e := l.pods[pod.UID]; {
		case e != nil:
			v.Code = AlreadyReserved
			e.pod = pod
			l.tell(e) // the scheduler asks because it does not know
		case l.cfg.Engines[pod.Spec.SchedulerName] == nil:
			v.Code, v.Reason = Refused, fmt.Sprintf("scheduler %q is not in the launcher's scheduler configuration", pod.Spec.SchedulerName)
		case !cluster.IsWaiting(pod):
			v.Code, v.Reason = Refused, "the pod is bound, finished or being deleted"
		case len(l.pods) >= l.cfg.MaxWaiting:
			v.Code, v.Reason = Refused, fmt.Sprintf("%d pods wait already; try again later", len(l.pods))
		default:
			l.add(pod, now)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

func (l *loop) add(pod *corev1.Pod, now time.Time) {
	e := &entry{pod: pod, seen: now}
	e.UID, e.Pod = pod.UID, client.ObjectKeyFromObject(pod)
	l.pods[pod.UID] = e
	l.wait(e, now)
}

// wait puts a pod into the open batch.
func (l *loop) wait(e *entry, now time.Time) {
	e.Reservation, e.registered = Reservation{Pod: e.Pod, UID: e.UID, Phase: Waiting}, false
	if l.batchSince.IsZero() {
		l.batchSince = now
	}
	l.lastPod = now
	l.tell(e)
}

// release ends reservations that the scheduler gives back.
func (l *loop) release(releases []Release) {
	byClaim := map[string][]types.UID{}
	for _, r := range releases {
		e := l.pods[r.Pod]
		if e == nil || e.Claim != r.Claim {
			continue
		}
		l.log.Info("reservation released", "pod", e.Pod, "nodeclaim", r.Claim, "reason", r.Reason)
		l.end(e, r.Reason)
		if l.claims[r.Claim] == nil {
			continue
		}
		if l.released[r.Claim] == nil {
			l.released[r.Claim] = sets.New[types.UID]()
		}
		l.released[r.Claim].Insert(r.Pod)
		byClaim[r.Claim] = append(byClaim[r.Claim], r.Pod)
	}
	for claim, pods := range byClaim {
		l.submit(job{released: &releasedPods{claim: claim, pods: pods}})
		l.cancelIfUnneeded(l.claims[claim], "its pods were released")
	}
}

// end forgets a pod.
func (l *loop) end(e *entry, reason string) {
	e.Phase, e.Reason = Ended, reason
	l.tell(e)
	delete(l.pods, e.UID)
}

// observe takes in what an informer saw.
func (l *loop) observe(e event) {
	switch {
	case e.claim != nil && e.gone:
		l.claimGone(e.claim)
		delete(l.leaving, e.claim.Name)
		if l.limited(e.claim.Spec.NodePool) {
			l.reconsider("a node of NodePool " + e.claim.Spec.NodePool + " is gone")
		}
	case e.claim != nil:
		l.claimSeen(e.claim)
	case e.pod != nil:
		l.podSeen(e.pod, e.gone)
	default:
		l.reconsider(e.why)
	}
}

// podSeen ends the reservation of a pod that no longer needs one.
func (l *loop) podSeen(pod *corev1.Pod, gone bool) {
	e := l.pods[pod.UID]
	if e == nil || (!gone && cluster.IsWaiting(pod)) {
		return
	}
	claim := l.claims[e.Claim]
	if pod.Spec.NodeName != "" && !gone {
		l.metrics.observe(stageBound, e.seen)
		if pod.Spec.NodeName != e.NodeName {
			l.log.Info("pod bound elsewhere", "pod", e.Pod, "node", pod.Spec.NodeName, "nodeclaim", e.Claim)
		}
	}
	l.end(e, "the pod is bound or gone")
	if claim != nil {
		l.cancelIfUnneeded(claim, "its pods are bound elsewhere or gone")
	}
}

// claimSeen brings the reservations of a claim up to date.
func (l *loop) claimSeen(claim *v1alpha1.NodeClaim) {
	if !claim.DeletionTimestamp.IsZero() {
		l.claimGone(claim)
		l.leaving[claim.Name] = claim
		return
	}
	l.claims[claim.Name] = claim
	for _, r := range claim.Spec.Pods {
		if slices.Contains(claim.Status.Released, r.UID) || l.released[claim.Name].Has(r.UID) {
			continue
		}
		e := l.pods[r.UID]
		if e == nil {
			if e = l.find(r); e == nil {
				continue
			}
			l.pods[r.UID] = e
		} else if e.Claim != "" && e.Claim != claim.Name {
			continue // a newer claim holds it
		}
		before := e.Reservation
		stand(&e.Reservation, claim)
		if !e.registered && meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionRegistered) {
			e.registered = true
			l.metrics.observe(stageRegistered, e.seen)
		}
		if e.Reservation == before {
			continue
		}
		l.metrics.progress(before.Phase, e)
		if e.Phase == Ready {
			e.failures = 0 // not before: what failed may fail again until then
		}
		l.tell(e)
	}
	l.cancelIfUnneeded(claim, "its pods need it no longer")
}

// find makes the entry of a pod that only its claim tells of; nil when it waits no longer.
func (l *loop) find(r v1alpha1.ReservedPod) *entry {
	pod := &corev1.Pod{}
	err := l.cfg.Client.Get(l.ctx, types.NamespacedName{Namespace: r.Namespace, Name: r.Name}, pod)
	if err != nil && !apierrors.IsNotFound(err) {
		l.log.Error(err, "read reserved pod", "pod", r.Namespace+"/"+r.Name)
	}
	if err != nil || pod.UID != r.UID || !cluster.IsWaiting(pod) {
		return nil
	}
	e := &entry{pod: pod, seen: pod.CreationTimestamp.Time}
	e.UID, e.Pod = r.UID, client.ObjectKeyFromObject(pod)
	return e
}

// claimGone returns the pods of a claim that failed or was deleted to the queue.
func (l *loop) claimGone(claim *v1alpha1.NodeClaim) {
	if l.planning {
		l.ended.Insert(claim.UID)
	}
	delete(l.claims, claim.Name)
	delete(l.released, claim.Name)
	l.cancelled.Delete(claim.UID)
	now := time.Now()
	for _, r := range claim.Spec.Pods {
		e := l.pods[r.UID]
		if e == nil || e.Claim != claim.Name {
			continue
		}
		reason, patience := failure(claim)
		if !patience {
			e.failures = 0
			l.wait(e, now)
			continue
		}
		l.refuseFor(e, reason, now)
	}
}

// failure says why a claim ends, and whether to be patient before the next one: capacity
// errors are remembered per offering, so the next plan differs; others would repeat.
func failure(claim *v1alpha1.NodeClaim) (reason string, patience bool) {
	c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	registered := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionRegistered)
	switch {
	case c != nil && c.Status == "False" && c.Reason != v1alpha1.ReasonInsufficientCapacity && c.Reason != "":
		return c.Message, true
	case registered != nil && registered.Status == "False" && registered.Reason == v1alpha1.ReasonRegistrationTimeout:
		return registered.Message, true
	}
	return "", false
}

// backoff doubles from one second to five minutes.
func backoff(failures int) time.Duration {
	return min(time.Second<<min(failures-1, 10), 5*time.Minute)
}

// Parked pods are planned for again when something changes that the launcher watches, and
// this often in any case: a volume claim, say, may have come that was missing.
const recheckEvery = 5 * time.Minute

// longestReason bounds what is told of one pod: a sentence for each NodePool adds up.
const longestReason = 1024

// refuse parks a pod with a reason until something changes.
func (l *loop) refuse(e *entry, reason string, now time.Time) {
	e.recheck = now.Add(recheckEvery)
	if len(reason) > longestReason {
		reason = reason[:longestReason-len("…")] + "…"
	}
	if e.Phase == Unlaunchable && e.Reason == reason {
		return
	}
	e.Reservation = Reservation{Pod: e.Pod, UID: e.UID, Phase: Unlaunchable, Reason: strings.ToValidUTF8(reason, "")}
	l.tell(e)
}

// refuseFor parks a pod after a failure that would repeat: nothing but time helps.
func (l *loop) refuseFor(e *entry, reason string, now time.Time) {
	e.failures++
	e.notBefore = now.Add(backoff(e.failures))
	l.refuse(e, reason, now)
	e.recheck = e.notBefore
}

// limited tells whether a NodePool has limits, so that the end of one node may make room for another.
func (l *loop) limited(pool string) bool {
	var np v1alpha1.NodePool
	return l.cfg.Client.Get(l.ctx, types.NamespacedName{Name: pool}, &np) == nil && len(np.Spec.Limits) > 0
}

// reconsider lets parked pods wait again because something changed. What changes while the
// planner is at work may be too late for its plan, so it is minded until that is known.
func (l *loop) reconsider(why string) {
	if l.planning {
		l.stale = why
	}
	now, n := time.Now(), 0
	for _, e := range l.pods {
		if e.Phase == Unlaunchable && !now.Before(e.notBefore) {
			l.wait(e, now)
			n++
		}
	}
	if n > 0 {
		l.log.Info("unlaunchable pods are planned for again", "pods", n, "because", why)
	}
}

// cancelIfUnneeded deletes a claim that was not launched yet and holds no pod any more.
func (l *loop) cancelIfUnneeded(claim *v1alpha1.NodeClaim, reason string) {
	if claim == nil || len(claim.Spec.Pods) == 0 || claim.Status.InstanceID != "" || l.cancelled.Has(claim.UID) || slices.ContainsFunc(claim.Spec.Pods, func(r v1alpha1.ReservedPod) bool {
		e := l.pods[r.UID]
		return e != nil && e.Claim == claim.Name
	}) {
		return
	}
	l.cancelled.Insert(claim.UID)
	l.submit(job{cancel: &cancelledClaim{name: claim.Name, reason: reason}})
}
