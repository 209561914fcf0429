package reallocate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// sight is what one look at the whole cluster sees.
type sight struct {
	guards
	market *market.Market
	pools  map[string]*v1alpha1.NodePool
	claims []*v1alpha1.NodeClaim
	byNode map[string]*v1alpha1.NodeClaim // of nodes that stay as far as is decided
	infos  map[string]*framework.NodeInfo
	// closed nodes, by name, take no pods: they are on their way out or in.
	closed  sets.Set[string]
	leaving []string // of these, those with pods that need room elsewhere
	guessed map[string]func(string) bool
	// obstacles, by claim, of nodes that would otherwise be candidates.
	obstacles map[string]obstacle
	// candidates by the scheduler of their pods.
	candidates map[string][]consolidate.Candidate
}

// look looks at the whole cluster.
func (c *consolidator) look(ctx context.Context) (*sight, error) {
	s := &sight{
		pools: map[string]*v1alpha1.NodePool{}, byNode: map[string]*v1alpha1.NodeClaim{}, closed: sets.New[string](),
		guessed: map[string]func(string) bool{}, obstacles: map[string]obstacle{}, candidates: map[string][]consolidate.Candidate{},
	}
	var claims v1alpha1.NodeClaimList
	if err := c.client.List(ctx, &claims); err != nil {
		return nil, fmt.Errorf("list nodeclaims: %w", err)
	}
	for i := range claims.Items {
		s.claims = append(s.claims, &claims.Items[i])
	}
	var err error
	if s.market, err = c.market.Look(ctx, s.claims); err != nil {
		return nil, err
	}
	for i := range s.market.Pools {
		s.pools[s.market.Pools[i].Name] = &s.market.Pools[i]
	}
	if s.guards, err = guardsOf(ctx, c.client); err != nil {
		return nil, err
	}
	if err := c.addNodes(ctx, s); err != nil {
		return nil, err
	}
	return s, c.findCandidates(ctx, s)
}

// addNodes adds what exists and what is on its way, each with the pods reserved for it.
func (c *consolidator) addNodes(ctx context.Context, s *sight) error {
	infos, waiting, err := c.lookout.NodeInfos(ctx, c.client)
	if err != nil {
		return err
	}
	s.infos = infos
	for _, claim := range s.claims {
		info := infos[claim.Status.NodeName]
		going := claim.DeletionTimestamp != nil || isLeaving(claim) || meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInterrupted)
		if going {
			if info != nil {
				s.closed.Insert(claim.Status.NodeName)
				s.leaving = append(s.leaving, claim.Status.NodeName)
			}
			continue
		}
		ready := meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized)
		if info == nil || !ready {
			node, guessed := offering.InFlight(claim, s.market.Types)
			info = fit.InFlight(claim.Name, node, info)
			name := cmp.Or(claim.Status.NodeName, node.Name)
			infos[name] = info
			if guessed != nil {
				s.guessed[node.Name] = guessed
			}
			if len(claim.Spec.Replaces) == 0 { // else it is for pods that leave others
				s.closed.Insert(node.Name)
			}
		} else {
			s.byNode[claim.Status.NodeName] = claim
		}
		for _, r := range claim.HeldPods() {
			if pod := waiting[r.UID]; pod != nil {
				info.AddPod(pod)
			}
		}
	}
	return nil
}

// findCandidates sorts the nodes into those that may go, those that may not, and those that
// are empty, which go by themselves and are not to be filled again.
func (c *consolidator) findCandidates(ctx context.Context, s *sight) error {
	for _, name := range slices.Sorted(maps.Keys(s.byNode)) {
		claim, info := s.byNode[name], s.infos[name]
		pool := s.pools[claim.Spec.NodePool]
		if pool == nil {
			continue
		}
		scheduler, pods := schedulerOf(info)
		if _, never, err := pool.Spec.Disruption.EmptyFor(); pods == 0 {
			if err == nil && !never {
				s.closed.Insert(name)
			}
			continue
		}
		if pool.Spec.Disruption.ConsolidationPolicy != v1alpha1.ConsolidateWhenEmptyOrUnderutilized || pool.Spec.Replicas != nil {
			continue
		}
		why, err := c.obstacleTo(ctx, s, claim, info)
		if err != nil {
			return fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
		}
		cost := costOf(claim, s.market.Types)
		switch {
		case why.reason != "":
		case scheduler == "":
			why = obstacle{reason: reasonOtherScheduler, message: "its pods are of several schedulers"}
		case claim.Status.CapacityType == v1alpha1.CapacityTypeReserved:
			why = obstacle{reason: reasonPaidFor, message: "capacity reservation " + claim.Status.ReservationID + " is paid for whether it is used or not"}
		default:
			s.candidates[scheduler] = append(s.candidates[scheduler], consolidate.Candidate{
				Node: name, Pool: claim.Spec.NodePool, Price: cost, Spot: claim.Status.CapacityType == v1alpha1.CapacityTypeSpot,
			})
			continue
		}
		s.obstacles[claim.Name] = why
	}
	return nil
}

// schedulerOf names the scheduler of a node's pods, DaemonSets' aside; "" if they have several.
func schedulerOf(info *framework.NodeInfo) (name string, pods int) {
	for _, p := range info.Pods {
		pod := p.GetPod()
		if cluster.IsDaemonPod(pod) {
			continue
		}
		if pods++; pods == 1 {
			name = pod.Spec.SchedulerName
		} else if pod.Spec.SchedulerName != name {
			name = ""
		}
	}
	return name, pods
}

// view is what package consolidate looks at for the pods of one scheduler.
func (s *sight) view(scheduler string, allowed map[string]int, terms consolidate.Terms) consolidate.View {
	m := s.market
	v := consolidate.View{
		Open: sets.New[string](), Guessed: s.guessed, Candidates: s.candidates[scheduler], Leaving: s.leaving, Allowed: allowed,
		Templates: m.Templates, DaemonSets: m.DaemonSets, Variety: m.Variety, Features: cluster.DeclaredFeatures(s.infos),
		Budget: func() fit.Budget { return m.Budget.Clone() },
		Terms:  terms, Alternatives: alternatives, Improve: improve,
	}
	for _, key := range slices.Sorted(maps.Keys(s.infos)) {
		info := s.infos[key]
		v.Nodes = append(v.Nodes, info)
		if name := info.Node().Name; !s.closed.Has(name) {
			v.Open.Insert(name)
		}
	}
	return v
}
