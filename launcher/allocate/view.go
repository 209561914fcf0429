package allocate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// view is all that one plan looks at.
type view struct {
	*market.Market
	nodes []*framework.NodeInfo
	// guessed labels of nodes, by the names that they have here.
	guessed map[string]func(label string) bool
	// rooms are claims in flight that take more pods, by the name their node has here.
	rooms map[string]*v1alpha1.NodeClaim
	// took is how long the view and its plan took.
	took time.Duration
	// features that nodes of a pool declare, by its name.
	features map[string][]string
}

// look gathers what exists, what is on its way and what may be bought for the pods.
func (p *planner) look(ctx context.Context, pods []*corev1.Pod, b batch) (*view, error) {
	m, err := p.market.Look(ctx, slices.Concat(b.claims, b.leaving))
	if err != nil {
		return nil, err
	}
	v := &view{Market: m, rooms: map[string]*v1alpha1.NodeClaim{}, guessed: map[string]func(string) bool{}}
	planned := sets.New[types.UID]()
	for _, pod := range pods {
		planned.Insert(pod.UID)
	}
	return v, p.addNodes(ctx, v, b, planned)
}

// addNodes adds what exists and what is on its way, each with the pods reserved for it.
// Pods that are planned for hold no place, whatever a claim says that does not know of
// their release yet, and get no place anew on a node that could not take them. A claim
// whose node was ready once is not on its way: where the node is missing, it is gone. One
// whose node somebody has cordoned, or that is late, is on its way, but not for more pods.
func (p *planner) addNodes(ctx context.Context, v *view, b batch, planned sets.Set[types.UID]) error {
	infos, waiting, err := p.lookout.NodeInfos(ctx, p.cfg.Client)
	if err != nil {
		return err
	}
	v.features = cluster.DeclaredFeatures(infos)
	for _, claim := range b.claims {
		info := infos[claim.Status.NodeName]
		initialized := meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized)
		cordoned := info != nil && info.Node().Spec.Unschedulable
		if info == nil || !initialized {
			info = v.inFlight(claim, info)
			infos[cmp.Or(claim.Status.NodeName, info.Node().Name)] = info
			if claim.Status.InstanceType != "" && !initialized && !cordoned && !b.late.Has(claim.Name) && !slices.ContainsFunc(claim.Status.Released, planned.Has) {
				v.rooms[info.Node().Name] = claim
			}
		}
		for _, r := range claim.HeldPods() {
			if pod := waiting[r.UID]; pod != nil && !planned.Has(r.UID) {
				info.AddPod(pod)
			}
		}
		for _, pod := range b.standIns[claim.Name] {
			info.AddPod(pod)
		}
	}
	if len(b.succeeds) > 0 {
		v.openAll(infos, b)
	}
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		v.nodes = append(v.nodes, infos[name])
	}
	return nil
}

// inFlight is the node that a claim in flight most likely will be once it is initialized,
// with the pods that are on it already, if it has registered.
func (v *view) inFlight(claim *v1alpha1.NodeClaim, registered *framework.NodeInfo) *framework.NodeInfo {
	node, guessed := offering.InFlight(claim, v.Types)
	node.Status.DeclaredFeatures = v.features[claim.Spec.NodePool]
	info := fit.InFlight(claim.Name, node, registered)
	if guessed != nil {
		v.guessed[node.Name] = guessed
	}
	return info
}
