package plugin

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// nowPlanning is said of a pod that was just handed over.
const nowPlanning = "handed over to the launcher, which plans a node for this pod"

// PostFilter hands a pod over that fits on no node. It runs inside the scheduling loop
// and only writes down what others carry out.
//
// Success and UnschedulableAndUnresolvable end the chain of PostFilter plugins, so that
// no pod is preempted for one that a node is launched for. Unschedulable lets preemption
// go on. The result is nil where a nomination must be left as it is.
func (p *Slipway) PostFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	p.lead()
	if _, err := state.Read(collectedKey); err == nil {
		return nil, fwk.NewStatus(fwk.Success, nowPlanning)
	}
	r, reserved := p.ledger.Get(pod.UID)
	switch {
	case !reserved && isDaemon(pod):
		return nil, p.leaveIt("a DaemonSet's pod is for its own node")
	case !reserved && p.awaitsVictims(pod):
		return nil, p.leaveIt("waiting for victims to leave node " + pod.Status.NominatedNodeName)
	case !reserved:
		return p.first(pod)
	case r.State == ledger.Unlaunchable:
		return nil, p.leaveIt(describe(r))
	case r.Unanswered:
		// Neither is the pod left to preemption alone, nor is it kept from it.
		if _, s := p.handOver(pod); !s.IsSuccess() {
			return nil, s
		}
		return nil, p.leaveIt("the launcher has not answered in time; handed over again")
	case r.State == ledger.Ready && p.cannotTake(r, statuses):
		return p.handBack(r, statuses.Get(r.Node))
	default:
		return nil, fwk.NewStatus(fwk.Success, describe(r))
	}
}

// leaveIt returns a status that leaves the pod to the next plugin. Without any node,
// preemption would fail with an error (framework/preemption/preemption.go:175).
func (p *Slipway) leaveIt(reason string) *fwk.Status {
	nodes, err := p.handle.SnapshotSharedLister().NodeInfos().List()
	if err == nil && len(nodes) == 0 {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
	}
	return fwk.NewStatus(fwk.Unschedulable, reason)
}

// awaitsVictims reports whether preemption has made room for the pod that is not free
// yet. A nomination for which nobody is leaving is out of date.
func (p *Slipway) awaitsVictims(pod *v1.Pod) bool {
	if pod.Status.NominatedNodeName == "" {
		return false
	}
	info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(pod.Status.NominatedNodeName)
	if err != nil {
		return false
	}
	for _, pi := range info.GetPods() {
		if other := pi.GetPod(); other.DeletionTimestamp != nil && priorityOf(other) < priorityOf(pod) {
			return true
		}
	}
	return false
}

func (p *Slipway) handOver(pod *v1.Pod) (*fwk.PostFilterResult, *fwk.Status) {
	r, send, err := p.ledger.HandOver(p.clock.Now(), podOf(pod))
	if err != nil {
		return nil, p.leaveIt(err.Error())
	}
	p.metrics.setReservations(p.ledger.Counts)
	if !send {
		return nil, fwk.NewStatus(fwk.Success, describe(r))
	}
	if err := p.send(pod); err != nil {
		p.act(p.ledger.Withdraw(p.clock.Now(), pod.UID))
		return nil, p.leaveIt(err.Error())
	}
	// Deleted, or bound by others, while it was being scheduled: that found no reservation to
	// end, and no other event will come. The informer's store is updated before its handlers
	// are told.
	switch known, err := p.pods.Pods(pod.Namespace).Get(pod.Name); {
	case err != nil || known.UID != pod.UID:
		p.podDeleted(pod)
		return nil, p.leaveIt("the pod is gone")
	case known.Spec.NodeName != "":
		p.bound(known, known.Spec.NodeName)
		return nil, p.leaveIt("the pod has been bound to node " + known.Spec.NodeName)
	}
	var result *fwk.PostFilterResult
	if pod.Status.NominatedNodeName != "" {
		result = clearNomination()
	}
	return result, fwk.NewStatus(fwk.Success, nowPlanning)
}

// cannotTake reports whether the node that was launched for a pod rejects it for
// something that does not pass by itself. Siblings that are still to be bound may make a
// pod wait for its spread or affinity; the TTL bounds that.
func (p *Slipway) cannotTake(r ledger.Reservation, statuses fwk.NodeToStatusReader) bool {
	status := statuses.Get(r.Node)
	if status.IsSuccess() || status == statuses.Get("") {
		// The pod was rejected before any node was looked at.
		return false
	}
	switch status.Plugin() {
	case "", Name, names.PodTopologySpread, names.InterPodAffinity:
		return false
	}
	// The scheduler's cache may be behind the ledger, for instance still show a taint
	// that is gone; what brings it up to date also wakes the pod.
	info, err := p.handle.SnapshotSharedLister().NodeInfos().Get(r.Node)
	if err != nil {
		return false
	}
	version, known := p.ledger.NodeVersion(r.Node)
	return known && version == info.Node().ResourceVersion
}

// handBack gives up a node that cannot take its pod, and asks for another.
func (p *Slipway) handBack(r ledger.Reservation, status *fwk.Status) (*fwk.PostFilterResult, *fwk.Status) {
	reason := fmt.Sprintf("node %s cannot take the pod: %s: %s", r.Node, status.Plugin(), status.Message())
	p.act(p.ledger.HandBack(p.clock.Now(), r.Ref.UID, reason))
	return clearNomination(), fwk.NewStatus(fwk.Success, reason+"; handed over to the launcher again")
}

func clearNomination() *fwk.PostFilterResult {
	return &fwk.PostFilterResult{NominatingInfo: &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride}}
}
