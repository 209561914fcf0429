package plugin

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// PreEnqueue keeps pods out that wait for their node. It runs under the scheduling
// queue's lock, also on standbys, and only reads.
func (p *Slipway) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if r, ok := p.ledger.Get(pod.UID); ok && r.GateClosed() {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, describe(r))
	}
	return nil
}

// describe says in a sentence how things stand with a pod.
func describe(r ledger.Reservation) string {
	var s string
	switch r.State {
	case ledger.Waiting:
		s = "waiting for the launcher to plan a node for this pod"
	case ledger.Planned:
		s = fmt.Sprintf("a node is planned for this pod (claim %s)", r.Claim)
	case ledger.Launched:
		s = fmt.Sprintf("node %s is being launched for this pod (claim %s)", r.Node, r.Claim)
	case ledger.Ready:
		s = fmt.Sprintf("node %s was launched for this pod and is ready (claim %s)", r.Node, r.Claim)
	case ledger.Unlaunchable:
		s = "no node can be launched for this pod"
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

// EventsToRegister says after which events a pod that this plugin rejected is looked at
// again. Pods behind the gate are woken by name; see act. Node/Add without
// UpdateNodeTaint would be given a hint that always queues (scheduler.go:473).
func (p *Slipway) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	node := fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeTaint | fwk.UpdateNodeLabel
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: node}, QueueingHintFn: p.afterNodeChange},
		{Event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete | fwk.UpdatePodScaleDown}, QueueingHintFn: p.afterPodFreesRoom},
	}, nil
}

// afterNodeChange queues a pinned pod for its own node, and others for any.
func (p *Slipway) afterNodeChange(_ klog.Logger, pod *v1.Pod, _, newObj any) (fwk.QueueingHint, error) {
	node, ok := newObj.(*v1.Node)
	if !ok {
		return fwk.Queue, fmt.Errorf("want a node, got %T", newObj)
	}
	r, reserved := p.ledger.Get(pod.UID)
	switch {
	case !reserved || r.State == ledger.Unlaunchable:
		return fwk.Queue, nil
	case r.State == ledger.Ready && r.Node == node.Name:
		return fwk.Queue, nil
	default:
		return fwk.QueueSkip, nil
	}
}

// afterPodFreesRoom queues pods that the guard may have kept off the node of a pod that
// was deleted or wants less.
func (p *Slipway) afterPodFreesRoom(_ klog.Logger, pod *v1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	before, ok := oldObj.(*v1.Pod)
	if !ok {
		return fwk.Queue, fmt.Errorf("want a pod, got %T", oldObj)
	}
	if before.Spec.NodeName == "" && before.Status.NominatedNodeName == "" {
		return fwk.QueueSkip, nil
	}
	if r, reserved := p.ledger.Get(pod.UID); reserved && r.State != ledger.Unlaunchable {
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}
