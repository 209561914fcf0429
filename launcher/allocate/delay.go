package allocate

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// delayAnnotation is how long, from its creation, a pod waits for room before a node is
// launched for it. On the pod itself it is the scheduler's to heed; here it is read of the
// owner. A Deployment's annotations are on its ReplicaSets, too.
const delayAnnotation = "slipway.dev/launch-delay"

// hold parks a pod whose owner wants it to wait for room, and reports whether it did. The
// members of a group do not wait for one another twice.
func (l *loop) hold(e *entry, now time.Time) bool {
	owner := metav1.GetControllerOfNoCopy(e.pod)
	if _, own := e.pod.Annotations[delayAnnotation]; own || owner == nil || e.group != nil {
		return false
	}
	at, why := l.launchedFrom(e.pod, owner)
	if !now.Before(at) {
		return false
	}
	e.notBefore = at
	l.refuse(e, why, now)
	e.recheck = at
	return true
}

// launchedFrom is from when on a node may be launched for a pod of this owner, in words as
// well. An annotation that is no duration is treated as none.
func (l *loop) launchedFrom(pod *corev1.Pod, owner *metav1.OwnerReference) (at time.Time, why string) {
	o := l.ownerOf(pod.Namespace, owner)
	if o == nil {
		return time.Time{}, ""
	}
	delay, err := time.ParseDuration(o.GetAnnotations()[delayAnnotation])
	if err != nil || delay <= 0 {
		return time.Time{}, ""
	}
	at = pod.CreationTimestamp.Add(delay)
	return at, fmt.Sprintf("%s %s wants none before %s (annotation %s)", owner.Kind, owner.Name, at.UTC().Format("15:04:05 UTC"), delayAnnotation)
}
