package memory

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

const (
	// maxLines bounds the shapes whose pods are tried. Pods of others wait for their nodes.
	maxLines = 256
	// grace is how long room is left to those for whom it came: a node that joins has mostly
	// been bought, and its own pods bind first. What a pod leaves is there for anybody.
	grace = 5 * time.Second
	// unknown is when a pod is tried of which nobody knows why it fits nowhere: its place was
	// planned before it was looked at, or by an earlier leader.
	unknown = 30 * time.Second
	// rest is the least time between two tries of a shape that fail.
	rest = time.Second
)

// line holds the pods of one shape that wait for nodes of their own. When something happens
// that may let them run elsewhere, one of them is tried; if it finds room, so is the next.
type line struct {
	key string
	// refusal says why they wait, going by the pod that was looked at last; nil while none was.
	refusal *refusal
	// pods are alike: it does not matter which is tried. Their order in a map is random, so
	// that one which differs in something that the key leaves out is not tried for ever.
	pods sets.Set[types.UID]
	// trying is the one that is being tried.
	trying types.UID
	// due is when one is worth a try; zero while nothing has happened. rested is when another
	// one may follow upon a failure.
	due, rested time.Time
}

// Wait notes that a pod is to wait for a node of its own because of fit, which may be nil
// where that is not known. For a pod that was being tried this is a failure. With fit, it
// must be called before End.
func (m *Memory) Wait(pod *v1.Pod, fit *framework.FitError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lineOf(pod)
	if l == nil {
		return
	}
	l.failed(pod.UID, m.cfg.Clock.Now())
	switch {
	case fit != nil:
		m.learn(l, pod, fit)
	case l.refusal == nil:
		m.call(l, unknown)
	}
}

// Fail notes that a pod could not be tried.
func (m *Memory) Fail(pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.inLine[pod]
	if l == nil {
		return
	}
	l.failed(pod, m.cfg.Clock.Now())
	if l.refusal == nil {
		m.call(l, unknown)
	}
}

// lineOf returns the line that a pod is in, with the pod in it; nil if there are too many,
// or the pod is of a profile that is not known.
func (m *Memory) lineOf(pod *v1.Pod) *line {
	if l := m.inLine[pod.UID]; l != nil {
		return l
	}
	if !m.Knows(pod.Spec.SchedulerName) {
		return nil
	}
	key := keyOf(pod)
	l := m.lines[key]
	if l == nil {
		if len(m.lines) >= maxLines {
			return nil
		}
		l = &line{key: key, pods: sets.New[types.UID]()}
		m.lines[key] = l
	}
	m.inLine[pod.UID] = l
	l.pods.Insert(pod.UID)
	return l
}

// learn takes in why the pods of a line wait. Changes since Begin may not have been seen.
func (m *Memory) learn(l *line, pod *v1.Pod, fit *framework.FitError) {
	rejectors := fit.Diagnosis.UnschedulablePlugins.Union(fit.Diagnosis.PendingPlugins)
	l.refusal = &refusal{
		pod:      anonymous(pod),
		priority: corev1helpers.PodPriority(pod), rejectors: rejectors, guarded: rejectors.Has(m.cfg.Guard),
	}
	if m.overflown || l.refusal.guarded && m.freed != m.cfg.Freed() {
		m.call(l, grace)
	}
	for _, c := range m.changes {
		if m.undoes(c, l.refusal) {
			m.call(l, c.grace())
		}
	}
}

// Leave notes that a pod waits no longer for a node of its own.
func (m *Memory) Leave(pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.inLine[pod]
	if l == nil {
		return
	}
	delete(m.inLine, pod)
	if l.pods.Delete(pod); l.pods.Len() == 0 {
		delete(m.lines, l.key)
		return
	}
	if l.trying == pod {
		// Where it found room there may be more.
		l.trying = ""
		m.call(l, 0)
	}
}

// Waits reports whether a pod is known to wait for a node of its own.
func (m *Memory) Waits(pod types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inLine[pod] != nil
}

// Tries returns the pods to try now, of each of which Leave, Wait or Fail must be told, and
// how long it is until the next are due; zero if none are.
func (m *Memory) Tries() (pods []types.UID, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Clock.Now()
	for _, l := range m.lines {
		if l.trying != "" || l.due.IsZero() {
			continue
		}
		if d := max(l.due.Sub(now), l.rested.Sub(now)); d > 0 {
			if wait == 0 || d < wait {
				wait = d
			}
			continue
		}
		l.due = time.Time{}
		for l.trying = range l.pods {
			break
		}
		pods = append(pods, l.trying)
	}
	return pods, wait
}

// Called is told when Tries may have something new to say.
func (m *Memory) Called() <-chan struct{} { return m.called }

// RoomFreed notes that promised room became free. It is left to others first: of many pods
// that are bound at a time, some are about to take it up.
func (m *Memory) RoomFreed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lines {
		if l.refusal != nil && l.refusal.guarded {
			m.call(l, grace)
		}
	}
}

// tryAfter calls the lines for which a change may have made room. Those that are called
// already need not weigh it.
func (m *Memory) tryAfter(c change) {
	if len(m.lines) == 0 {
		return
	}
	due := m.cfg.Clock.Now().Add(c.grace())
	for _, l := range m.lines {
		if l.refusal != nil && l.waitsBeyond(due) && m.undoes(c, l.refusal) {
			m.call(l, c.grace())
		}
	}
}

// waitsBeyond reports whether nothing is due until after t.
func (l *line) waitsBeyond(t time.Time) bool { return l.due.IsZero() || t.Before(l.due) }

// call has a pod of the line tried some time from now at the latest.
func (m *Memory) call(l *line, after time.Duration) {
	due := m.cfg.Clock.Now().Add(after)
	if !l.waitsBeyond(due) {
		return
	}
	l.due = due
	select {
	case m.called <- struct{}{}:
	default:
	}
}

// failed notes that a pod found no room, if it was being tried.
func (l *line) failed(pod types.UID, now time.Time) {
	if l.trying != pod {
		return
	}
	l.trying, l.rested = "", now.Add(rest)
}

// grace is how long room that a change brings is left to others.
func (c change) grace() time.Duration {
	if c.outbid == nil && !c.some && c.of(fwk.Pod, fwk.Delete|fwk.UpdatePodScaleDown) {
		return 0
	}
	return grace
}
