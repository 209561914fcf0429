package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// change is something that may make a pod fit.
type change struct {
	event    fwk.ClusterEvent
	old, new any
	// some says that the scheduler thinks of some pods only, as when a pod's nomination has
	// gone to another node.
	some bool
	// outbid is set if a pod's nomination to a node has ended, which counted with pods of
	// this priority and below.
	outbid *int32
}

func (c change) label() string {
	if c.outbid != nil {
		return "NominationEnded"
	}
	return c.event.Label()
}

// of reports whether the change is one of these.
func (c change) of(resource fwk.EventResource, actions fwk.ActionType) bool {
	return framework.MatchClusterEvents(fwk.ClusterEvent{Resource: resource, ActionType: actions}, c.event)
}

// terminates reports whether a pod has begun to end.
func (c change) terminates() bool {
	before, ok := c.old.(*v1.Pod)
	after, ok2 := c.new.(*v1.Pod)
	return ok && ok2 && before.DeletionTimestamp == nil && after.DeletionTimestamp != nil
}

// hint is a plugin's opinion on a change.
type hint struct {
	plugin string
	fn     fwk.QueueingHintFn
}

// hintsOf does what the scheduler does with the same extensions (scheduler.go,
// buildQueueingHintMap).
func hintsOf(extensions []fwk.EnqueueExtensions) (map[fwk.ClusterEvent][]hint, error) {
	hints := map[fwk.ClusterEvent][]hint{}
	var errs []error
	for _, e := range extensions {
		events, err := e.EventsToRegister(context.Background())
		if err != nil {
			errs = append(errs, fmt.Errorf("events of plugin %s: %w", e.Name(), err))
		}
		for _, event := range events {
			hints[event.Event] = append(hints[event.Event], hint{plugin: e.Name(), fn: event.QueueingHintFn})
		}
	}
	return hints, errors.Join(errs...)
}

// changed takes note of a change: refusals that it may undo are forgotten, and pods that it
// may help are tried.
func (m *Memory) changed(c change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.of(fwk.Node, fwk.Delete) {
		if node, ok := c.old.(*v1.Node); ok {
			m.leaves(node.Name)
		}
	}
	if m.scheduling {
		if len(m.changes) < maxChanges {
			m.changes = append(m.changes, c)
		} else {
			m.overflown = true
		}
	}
	for key, r := range m.refusals {
		if m.undoes(c, r) {
			m.forget(key, c.label())
		}
	}
	m.tryAfter(c)
}

// leaves notes a node's deletion.
func (m *Memory) leaves(node string) {
	now := m.cfg.Clock.Now()
	if len(m.leaving) >= maxLeaving {
		maps.DeleteFunc(m.leaving, func(_ string, since time.Time) bool { return now.Sub(since) > maxAge })
	}
	m.leaving[node] = now
}

// undoes reports whether a node that refused the pod may take it after the change.
func (m *Memory) undoes(c change, r *refusal) bool {
	if c.outbid != nil {
		return r.priority <= *c.outbid
	}
	if framework.ClusterEventIsWildCard(c.event) {
		return true
	}
	for plugin := range r.rejectors {
		if overrules(plugin, c) {
			return true
		}
	}
	for event, hints := range m.hints[r.pod.Spec.SchedulerName] {
		if !framework.MatchClusterEvents(event, c.event) {
			continue
		}
		for _, h := range hints {
			if r.rejectors.Has(h.plugin) && h.queues(c, r.pod) {
				return true
			}
		}
	}
	return false
}

func (h hint) queues(c change, pod *v1.Pod) bool {
	if h.fn == nil {
		return true
	}
	answer, err := h.fn(klog.Background(), pod, c.old, c.new)
	return err != nil || answer == fwk.Queue
}

// overrules lists the changes after which a plugin's refusals are forgotten whatever its
// hint says. The queue can afford a hint that leaves a rare case out: one pod waits for
// longer. Here, all its like would.
func overrules(plugin string, c change) bool {
	switch plugin {
	case names.InterPodAffinity:
		// The hint asks whether a pod that is gone matched all anti-affinity terms; one is
		// enough. It leaves out that a pod may be the first of its kind again, once the last
		// that it has an affinity to is gone, and nodes that leave a domain or go with all
		// their pods.
		return c.of(fwk.Pod, fwk.Delete|fwk.UpdatePodLabel) || c.of(fwk.Node, fwk.Add|fwk.Delete|fwk.UpdateNodeLabel)
	case names.PodTopologySpread:
		// The hint leaves out pods that terminate, which do not count from then on, and
		// labels by which the pod's node affinity leaves out nodes.
		return c.of(fwk.Node, fwk.Add|fwk.Delete|fwk.UpdateNodeLabel|fwk.UpdateNodeTaint) || c.terminates()
	case names.NodeAffinity:
		// The hint takes a node for matching before that did not match the profile's own
		// affinity.
		return c.of(fwk.Node, fwk.UpdateNodeLabel)
	default:
		return false
	}
}
