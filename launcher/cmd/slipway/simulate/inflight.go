package simulate

import (
	"cmp"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// addInFlight adds the nodes of NodeClaims that are on their way, with the pods that have
// places there; what they have to spare is used before anything is bought. A node that is
// there counts as what its claim foretells until it is initialized. A claim whose node was
// initialized once and is missing is gone.
func (in *Input) addInFlight(out *fit.Input, infos map[string]*framework.NodeInfo, limits *offering.Limits) {
	counted := sets.New[string]()
	for _, node := range in.Objects.Nodes {
		counted.Insert(node.Name)
	}
	for _, claim := range in.Objects.NodeClaims {
		registered := infos[claim.Status.NodeName]
		if !counted.Has(claim.Status.NodeName) {
			limits.Count(claim.Spec.NodePool, offering.Most(claim, in.Types))
		}
		if claim.DeletionTimestamp != nil {
			continue
		}
		info := registered
		if initialized := meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized); !initialized {
			info = in.inFlight(out, claim, registered)
			out.Open.Delete(claim.Status.NodeName)
			if registered == nil || !registered.Node().Spec.Unschedulable {
				out.Open.Insert(info.Node().Name)
			}
			infos[cmp.Or(claim.Status.NodeName, info.Node().Name)] = info
		}
		if info == nil {
			continue
		}
		for _, pod := range in.Workload.Reserved[claim.Name] {
			info.AddPod(pod)
		}
	}
}

// inFlight is the node that a claim will be, with the pods that are on it already.
func (in *Input) inFlight(out *fit.Input, claim *v1alpha1.NodeClaim, registered *framework.NodeInfo) *framework.NodeInfo {
	node, guessed := offering.InFlight(claim, in.Types)
	node.Status.DeclaredFeatures = out.Features[claim.Spec.NodePool]
	node.Status.Allocatable = offering.Least(claim, in.Types)
	info := fit.InFlight(claim.Name, node, registered)
	if guessed != nil {
		out.Guessed[node.Name] = guessed
	}
	return info
}
