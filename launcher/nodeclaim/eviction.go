package nodeclaim

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

const (
	evictFirstRetry = time.Second
	evictMaxRetry   = 15 * time.Second
	// evictTimeout bounds one eviction. The client waits by itself where the API server,
	// which is yet to look at a new PodDisruptionBudget, asks it to come back later.
	evictTimeout = 5 * time.Second
	evictions    = 10 // of one node at a time
	reportEvery  = 5 * time.Second
	// criticalPriority is that of system-cluster-critical: pods others may need to end well.
	criticalPriority = 2_000_000_000
	defaultPodGrace  = 30 * time.Second
)

// wave says when in a drain a pod is asked to go: when all pods of lower waves have left.
// DaemonSets' pods come last, since others log, mount and resolve names by them.
func wave(pod *corev1.Pod) int {
	w := 0
	if isCritical(pod) {
		w++
	}
	if cluster.IsDaemonPod(pod) {
		w += 2
	}
	return w
}

// evictAll asks for the end of every pod whose turn it is, and returns why some cannot go
// yet, by name. DaemonSets' pods, which end with their node in any case, are not asked but
// told. Where the deadline leaves a pod no more than its grace period it is told, too,
// whatever its wave and whoever protects it.
func (t *terminator) evictAll(ctx context.Context, claim *v1alpha1.NodeClaim, left remaining, deadline time.Time) map[string]string {
	drain := t.drains.of(claim)
	now := t.clock.Now()
	blocked := map[string]string{}
	if len(left.pods) == 0 {
		return blocked
	}
	turn := wave(&left.pods[0])
	for i := range left.pods {
		turn = min(turn, wave(&left.pods[i]))
	}
	var asked []*corev1.Pod
	for i := range left.pods {
		pod := &left.pods[i]
		protection := cluster.ProtectionOfPod(pod, now)
		switch {
		case isForced(pod, deadline, now):
			t.deletePod(ctx, pod, deadline.Sub(now))
		case pod.DeletionTimestamp != nil || wave(pod) > turn:
		case cluster.IsDaemonPod(pod):
			if len(left.volumes) == 0 { // they are detached with the help of such pods
				t.deletePod(ctx, pod, podGrace(pod))
			}
		case protection.By != "" && !isTrue(claim, v1alpha1.ConditionUnhealthy):
			blocked[podName(pod)] = "it is annotated " + protection.Annotation
		case !drain.due(pod.UID, now):
			blocked[podName(pod)] = drain.why(pod.UID)
		default:
			asked = append(asked, pod)
		}
	}
	for i, why := range t.evictEach(ctx, asked) {
		if pod := asked[i]; why != "" {
			drain.refused(pod.UID, t.clock.Now(), why)
			blocked[podName(pod)] = why
		}
	}
	return blocked
}

// evictEach evicts pods side by side: the API server may take its time over one of them. It
// returns why each was refused.
func (t *terminator) evictEach(ctx context.Context, pods []*corev1.Pod) []string {
	why := make([]string, len(pods))
	workqueue.ParallelizeUntil(ctx, evictions, len(pods), func(i int) { why[i] = t.evict(ctx, pods[i]) })
	return why
}

// isForced tells whether the deadline leaves the pod no more than its grace period, or less
// than it was given.
func isForced(pod *corev1.Pod, deadline, now time.Time) bool {
	switch {
	case deadline.IsZero():
		return false
	case pod.DeletionTimestamp != nil:
		return pod.DeletionTimestamp.After(deadline)
	default:
		return !now.Before(deadline.Add(-podGrace(pod)))
	}
}

// untilForced is how long until the next of the pods is forced to go, or the deadline.
func untilForced(pods []corev1.Pod, deadline, now time.Time) time.Duration {
	wait := deadline.Sub(now)
	for i := range pods {
		if until := deadline.Add(-podGrace(&pods[i])).Sub(now); until > 0 {
			wait = min(wait, until)
		}
	}
	return wait
}

// evict asks for the end of one pod by the Eviction API, which heeds
// PodDisruptionBudgets. It returns why the pod was refused; empty when it goes.
func (t *terminator) evict(ctx context.Context, pod *corev1.Pod) string {
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	err := t.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err): // a conflict: another pod of that name
		return ""
	case apierrors.IsTooManyRequests(err):
		return refusalOf(err)
	default: // such as more than one budget for one pod
		log.FromContext(ctx).Info("eviction failed, will retry", "pod", podName(pod), "err", err.Error())
		return err.Error()
	}
}

// refusalOf says which PodDisruptionBudget refused an eviction, and why, in the API
// server's words.
func refusalOf(err error) string {
	if cause, ok := apierrors.StatusCause(err, policyv1.DisruptionBudgetCause); ok && cause.Message != "" {
		return cause.Message
	}
	return "its PodDisruptionBudget allows no disruption now"
}

// deletePod ends a pod without asking, within its own grace period or what is left.
func (t *terminator) deletePod(ctx context.Context, pod *corev1.Pod, left time.Duration) {
	grace := int64(min(podGrace(pod), max(left, time.Second)).Seconds())
	err := t.client.Delete(ctx, pod, client.GracePeriodSeconds(grace), client.Preconditions{UID: &pod.UID})
	if client.IgnoreNotFound(err) != nil {
		log.FromContext(ctx).Info("deletion of a pod failed, will retry", "pod", podName(pod), "err", err.Error())
	}
}

func isCritical(pod *corev1.Pod) bool { return ptr.Deref(pod.Spec.Priority, 0) >= criticalPriority }

func podGrace(pod *corev1.Pod) time.Duration {
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return defaultPodGrace
}

// drains remembers how the drains of this process are going. What it forgets in a
// crash costs an event said twice and an eviction asked for early. Its zero value is
// ready for use.
type drains struct {
	mu     sync.Mutex
	byName map[string]*drainState
}

// drainState is one drain. The work queue lets one reconcile at a time use it.
type drainState struct {
	announced bool
	reported  time.Time
	refusals  map[types.UID]refusal
	told      sets.Set[types.UID] // pods of which it was said that they block
	detaching time.Time           // since when volumes are waited for
}

type refusal struct {
	why   string
	wait  time.Duration
	until time.Time
}

func (d *drains) of(claim *v1alpha1.NodeClaim) *drainState {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byName == nil {
		d.byName = map[string]*drainState{}
	}
	if d.byName[claim.Name] == nil {
		d.byName[claim.Name] = &drainState{refusals: map[types.UID]refusal{}, told: sets.New[types.UID]()}
	}
	return d.byName[claim.Name]
}

func (d *drains) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byName, name)
}

// announce returns true the first time.
func (d *drainState) announce() bool {
	first := !d.announced
	d.announced = true
	return first
}

// mayReport bounds how often the drain is written about.
func (d *drainState) mayReport(now time.Time) bool {
	if !d.reported.IsZero() && now.Sub(d.reported) < reportEvery {
		return false
	}
	d.reported = now
	return true
}

// mayComplain returns true the first time that the pod blocks the drain.
func (d *drainState) mayComplain(pod types.UID) bool {
	first := !d.told.Has(pod)
	d.told.Insert(pod)
	return first
}

// pastDetaching tells whether volumes have been waited for long enough.
func (d *drainState) pastDetaching(now time.Time) bool {
	if d.detaching.IsZero() {
		d.detaching = now
	}
	return now.Sub(d.detaching) >= detachWithin
}

func (d *drainState) due(pod types.UID, now time.Time) bool {
	return !now.Before(d.refusals[pod].until)
}

func (d *drainState) why(pod types.UID) string { return d.refusals[pod].why }

// refused has the pod asked again later, ever less often.
func (d *drainState) refused(pod types.UID, now time.Time, why string) {
	wait := min(max(2*d.refusals[pod].wait, evictFirstRetry), evictMaxRetry)
	d.refusals[pod] = refusal{why: why, wait: wait, until: now.Add(wait)}
}

// next is how long until a pod may be asked again, at most limit.
func (d *drainState) next(now time.Time, limit time.Duration) time.Duration {
	for _, r := range d.refusals {
		if wait := r.until.Sub(now); wait > 0 {
			limit = min(limit, wait)
		}
	}
	return limit
}
