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
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

const (
	evictFirstRetry = time.Second
	evictMaxRetry   = 15 * time.Second
	reportEvery     = 5 * time.Second
	// criticalPriority is that of system-cluster-critical: pods others may need to end well.
	criticalPriority = 2_000_000_000
	defaultPodGrace  = 30 * time.Second
)

// evictAll asks for the end of every pod that may be asked, critical ones only when no
// other is left, and returns why some cannot go yet, by name.
func (t *terminator) evictAll(ctx context.Context, claim *v1alpha1.NodeClaim, pods []corev1.Pod, deadline time.Time) map[string]string {
	drain := t.drains.of(claim)
	now := t.clock.Now()
	blocked := map[string]string{}
	others := 0
	for i := range pods {
		if !isCritical(&pods[i]) {
			others++
		}
	}
	for i := range pods {
		pod := &pods[i]
		switch {
		case pod.DeletionTimestamp != nil:
		case others > 0 && isCritical(pod):
		case !deadline.IsZero() && !now.Before(deadline.Add(-podGrace(pod))):
			t.deletePod(ctx, pod, deadline.Sub(now))
		case pod.Annotations[v1alpha1.DoNotDisruptAnnotation] == "true":
			blocked[podName(pod)] = "annotated " + v1alpha1.DoNotDisruptAnnotation
		default:
			if !drain.due(pod.UID, now) {
				blocked[podName(pod)] = drain.why(pod.UID)
				continue
			}
			if why := t.evict(ctx, pod); why != "" {
				drain.refused(pod.UID, now, why)
				blocked[podName(pod)] = why
			}
		}
	}
	return blocked
}

// evict asks for the end of one pod by the Eviction API, which heeds
// PodDisruptionBudgets. It returns why the pod was refused; empty when it goes.
func (t *terminator) evict(ctx context.Context, pod *corev1.Pod) string {
	err := t.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err): // a conflict: another pod of that name
		return ""
	case apierrors.IsTooManyRequests(err):
		return "its PodDisruptionBudget allows no disruption now"
	default: // such as more than one budget for one pod
		log.FromContext(ctx).Info("eviction failed, will retry", "pod", podName(pod), "err", err.Error())
		return err.Error()
	}
}

// deletePod ends a pod for which the node's deadline leaves no time to be asked, so
// that it has its own grace period, or what is left.
func (t *terminator) deletePod(ctx context.Context, pod *corev1.Pod, left time.Duration) {
	grace := int64(min(podGrace(pod), max(left, time.Second)).Seconds())
	err := t.client.Delete(ctx, pod, client.GracePeriodSeconds(grace), client.Preconditions{UID: &pod.UID})
	if client.IgnoreNotFound(err) != nil {
		log.FromContext(ctx).Info("deletion before the deadline failed, will retry", "pod", podName(pod), "err", err.Error())
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
		d.byName[claim.Name] = &drainState{refusals: map[types.UID]refusal{}}
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
