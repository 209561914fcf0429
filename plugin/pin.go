package plugin

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

const stateKey = "PreFilter" + Name

// cycle is what PreFilter finds out for Filter.
type cycle struct {
	pod *ledger.Pod
	// pinned is the node that is promised to the pod, if one is ready.
	pinned string
}

// Clone implements fwk.StateData; a cycle is never changed.
func (c *cycle) Clone() fwk.StateData { return c }

// PreFilter pins a pod to the node that was launched for it. Filter has no say while every
// node is open to every pod, which the ledger knows before the scheduler's snapshot can
// show otherwise (nodes.go).
func (p *Slipway) PreFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	p.lead()
	r, reserved := p.ledger.Get(pod.UID)
	switch {
	case reserved && r.State == ledger.Ready:
		// The ledger hears of nodes before the scheduler's cache does, and the snapshot may
		// be older still. The node's arrival there wakes the pod.
		if _, err := p.handle.SnapshotSharedLister().NodeInfos().Get(r.Node); err != nil {
			return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "node "+r.Node+", launched for this pod, is not known to the scheduler yet")
		}
		p.clearNominations(r.Node, pod)
		state.Write(stateKey, &cycle{pod: r.Pod, pinned: r.Node})
		return &fwk.PreFilterResult{NodeNames: sets.New(r.Node)}, nil
	case reserved && r.GateClosed():
		// The pod was past the gate before the reservation was known.
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, describe(r))
	case p.ledger.Open():
		return nil, fwk.NewStatus(fwk.Skip)
	case isDaemon(pod):
		p.clearNominations(daemonsNode(pod), pod)
		return nil, fwk.NewStatus(fwk.Skip)
	default:
		state.Write(stateKey, &cycle{pod: podOf(pod)})
		return nil, nil
	}
}

// clearNominations makes the scheduler forget that the pod's fellow holders are nominated
// to its node. While Filter judges one of them, the framework counts all that are nominated
// there as if they ran (runtime/framework.go, addGENominatedPods): fellows under a spread
// constraint would each wait for other zones to catch up with all of them at once, and
// for ever if those wait in turn. The guard keeps their room, and a failed cycle nominates
// them again, so this is done in each. A DaemonSet's pod, too, is not to be kept out by them.
func (p *Slipway) clearNominations(node string, pod *v1.Pod) {
	holders, _ := p.ledger.Holders(node)
	for _, n := range p.handle.NominatedPodsForNode(node) {
		fellow := n.GetPod()
		if fellow.UID != pod.UID && slices.ContainsFunc(holders, func(h ledger.Holder) bool { return h.UID == fellow.UID }) {
			p.handle.DeleteNominatedPodIfExists(fellow)
		}
	}
}

// PreFilterExtensions returns nil: Filter looks at the NodeInfo it is given.
func (p *Slipway) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter keeps a pinned pod to its node, and every other pod out of reserved room.
// PreFilterResult alone would not pin: nodes that are nominated or hinted at are
// evaluated without it (schedule_one.go:666).
func (p *Slipway) Filter(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	data, err := state.Read(stateKey)
	if err != nil {
		return fwk.AsStatus(err)
	}
	c, node := data.(*cycle), info.Node().Name
	switch c.pinned {
	case "":
	case node:
		return nil
	default:
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "node(s) are not the one launched for this pod")
	}
	holders, registering := p.ledger.Holders(node)
	if registering {
		p.metrics.guardRejections.Inc()
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "node(s) were launched for other pods and are being registered")
	}
	if reason := crowdedOut(c.pod, info, holders); reason != "" {
		p.metrics.guardRejections.Inc()
		return fwk.NewStatus(fwk.Unschedulable, reason)
	}
	return nil
}

// SignPod tells pods apart that Filter treats differently.
func (p *Slipway) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	var promised string
	if r, ok := p.ledger.Get(pod.UID); ok {
		promised = r.Node
	}
	return []fwk.SignFragment{
		{Key: "slipway.dev/promised-node", Value: promised},
		{Key: "slipway.dev/priority", Value: priorityOf(pod)},
		{Key: "slipway.dev/daemon", Value: isDaemon(pod)},
	}, nil
}
