package allocate

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/cluster"
)

// reserve takes pods from a scheduler.
func (l *loop) reserve(pods []*corev1.Pod) []Verdict {
	now, before := time.Now(), len(l.pods)
	verdicts := make([]Verdict, 0, len(pods))
	for _, pod := range pods {
		v := Verdict{Pod: pod.UID, Code: Accepted}
		switch e := l.pods[pod.UID]; {
		case e != nil:
			v.Code = AlreadyReserved
			l.renew(e, pod, now)
			if e.Claim != "" && l.live(e.Claim) == nil {
				l.log.Info("pod had a place on a claim that is gone", "pod", e.Pod, "nodeclaim", e.Claim)
				l.wait(e, now)
			}
			l.tell(e) // the scheduler asks because it does not know
		case l.cfg.Engines[pod.Spec.SchedulerName] == nil:
			v.Code, v.Reason = Refused, unknownScheduler(pod.Spec.SchedulerName)
		case !cluster.IsWaiting(pod):
			v.Code, v.Reason = Refused, "the pod is bound, finished or being deleted"
		case len(l.pods) >= l.cfg.MaxWaiting:
			v.Code, v.Reason = Refused, fmt.Sprintf("%d pods wait already; try again later", len(l.pods))
		default:
			l.add(pod, now)
		}
		verdicts = append(verdicts, v)
	}
	l.log.Info("pods handed over", "pods", len(pods), "new", len(l.pods)-before)
	return verdicts
}

func unknownScheduler(name string) string {
	return fmt.Sprintf("scheduler %q is not in the launcher's scheduler configuration", name)
}

func (l *loop) add(pod *corev1.Pod, now time.Time) {
	e := l.enter(pod, now)
	if r := l.takeSeat(pod, now); r != nil {
		l.sit(e, r)
		return
	}
	if !l.patient(e, now) && !l.hold(e, now) {
		l.wait(e, now)
	}
}

// enter makes the entry of a pod.
func (l *loop) enter(pod *corev1.Pod, since time.Time) *entry {
	e := &entry{pod: pod}
	e.UID, e.Pod, e.Since = pod.UID, client.ObjectKeyFromObject(pod), since
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		e.owner = owner.UID
		l.ofOwner[e.owner]++
	}
	l.pods[pod.UID] = e
	l.join(e)
	return e
}

// wait puts a pod into the open batch.
func (l *loop) wait(e *entry, now time.Time) {
	e.Reservation, e.registered = Reservation{Pod: e.Pod, UID: e.UID, Phase: Waiting, Since: e.Since}, false
	e.lingers = false
	if e.group != nil {
		e.group.formed = false // for those who come anew
	}
	if l.batchSince.IsZero() {
		l.batchSince = now
	}
	l.lastPod = now
	if e.owner == "" || l.ofOwner[e.owner] == 1 {
		l.lastOwner = now
	}
	l.tell(e)
}

// release ends reservations that the scheduler gives back.
func (l *loop) release(releases []Release) {
	byClaim := map[string][]types.UID{}
	for _, r := range releases {
		e := l.pods[r.Pod]
		if e == nil || r.Claim != "" && r.Claim != e.Claim {
			continue
		}
		if e.Phase == Ready {
			l.handBacks.note(r.Pod, r.Reason, l.cfg.MaxWaiting, time.Now())
		}
		l.log.Info("reservation released", "pod", e.Pod, "nodeclaim", e.Claim, "reason", r.Reason)
		l.end(e, r.Reason)
		if record := l.live(e.Claim); record != nil {
			record.release(r.Pod)
			byClaim[e.Claim] = append(byClaim[e.Claim], r.Pod)
		}
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
	l.leave(e)
	if e.owner == "" {
		return
	}
	if l.ofOwner[e.owner]--; l.ofOwner[e.owner] == 0 {
		delete(l.ofOwner, e.owner)
	}
}

// podSeen ends the reservation of a pod that no longer needs one.
func (l *loop) podSeen(pod *corev1.Pod, gone bool) {
	e := l.pods[pod.UID]
	if !gone && cluster.IsWaiting(pod) {
		if e != nil {
			l.renew(e, pod, time.Now())
		}
		return
	}
	delete(l.handBacks, pod.UID)
	if e != nil {
		l.settled(e, pod, gone)
	}
	if !gone {
		l.regather(cluster.GroupOf(pod), time.Now())
	}
}

// settled ends the reservation of a pod that is bound or gone.
func (l *loop) settled(e *entry, pod *corev1.Pod, gone bool) {
	claim := l.live(e.Claim)
	if pod.Spec.NodeName != "" && !gone {
		l.metrics.observe(stageBound, e.Since)
		if pod.Spec.NodeName != e.NodeName {
			l.log.Info("pod bound elsewhere", "pod", e.Pod, "node", pod.Spec.NodeName, "nodeclaim", e.Claim)
		}
	}
	l.end(e, "the pod is bound or gone")
	if claim != nil {
		l.cancelIfUnneeded(claim, "its pods are bound elsewhere or gone")
	}
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
	e.Reservation = Reservation{Pod: e.Pod, UID: e.UID, Phase: Unlaunchable, Since: e.Since, Reason: strings.ToValidUTF8(reason, "")}
	l.tell(e)
}

// refuseFor parks a pod after a failure that would repeat: nothing but time helps.
func (l *loop) refuseFor(e *entry, reason string, now time.Time) {
	e.failures++
	e.notBefore = now.Add(backoff(e.failures))
	l.refuse(e, reason, now)
	e.recheck = e.notBefore
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

// revealed lets the pods wait again that awaited what a claim would be launched as: its zone,
// say, where they have to keep away from pods on it.
func (l *loop) revealed() {
	l.launched = l.planning // for those that this plan parks
	now := time.Now()
	for uid := range l.awaiting {
		if e := l.pods[uid]; e != nil && e.Phase == Unlaunchable {
			l.wait(e, now)
		}
	}
	clear(l.awaiting)
}
