package allocate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// view is all that one plan looks at.
type view struct {
	nodes      []*framework.NodeInfo
	templates  []fit.Template
	types      map[string]offering.Type // all that are known, for sale or not
	daemonSets []*appsv1.DaemonSet
	budget     offering.Budget // its offers are beside templates
	// unusable says why nothing of a pool may be bought at the moment, pool by pool.
	unusable []string
	// guessed labels of nodes, by the names that they have here.
	guessed map[string]func(label string) bool
	// rooms are claims in flight that take more pods, by the name their node has here.
	rooms map[string]*v1alpha1.NodeClaim
	// variety that pools want (minValues), by their names.
	variety map[string]fit.Variety
	// took is how long the view and its plan took.
	took time.Duration
	// features that nodes of a pool declare, by its name.
	features map[string][]string
}

// look gathers what exists, what is on its way and what may be bought for the pods.
func (p *planner) look(ctx context.Context, pods []*corev1.Pod, b batch) (*view, error) {
	v := &view{types: map[string]offering.Type{}, rooms: map[string]*v1alpha1.NodeClaim{}, variety: map[string]fit.Variety{}, guessed: map[string]func(string) bool{}}
	var pools v1alpha1.NodePoolList
	if err := p.cfg.Client.List(ctx, &pools); err != nil {
		return nil, fmt.Errorf("list nodepools: %w", err)
	}
	slices.SortFunc(pools.Items, func(a, b v1alpha1.NodePool) int { return strings.Compare(a.Name, b.Name) })
	held := slices.Concat(b.claims, b.leaving)
	v.budget.Slots = map[string]int{}
	for i := range pools.Items {
		pool := &pools.Items[i]
		if why := p.addPool(ctx, v, pool, held); why != "" {
			v.unusable = append(v.unusable, "nodepool "+pool.Name+": "+why)
		}
	}
	v.budget.Limits = offering.NewLimits(pools.Items)
	for _, c := range held {
		v.budget.Limits.Count(c.Spec.NodePool, offering.Most(c, v.types))
	}
	var daemonSets appsv1.DaemonSetList
	if err := p.cfg.Client.List(ctx, &daemonSets); err != nil {
		return nil, fmt.Errorf("list daemonsets: %w", err)
	}
	for i := range daemonSets.Items {
		v.daemonSets = append(v.daemonSets, &daemonSets.Items[i])
	}
	planned := sets.New[types.UID]()
	for _, pod := range pods {
		planned.Insert(pod.UID)
	}
	return v, p.addNodes(ctx, v, b, planned)
}

// addPool adds the templates of a pool's available offerings, or says why it has none. The
// claims held have places in capacity reservations.
func (p *planner) addPool(ctx context.Context, v *view, pool *v1alpha1.NodePool, held []*v1alpha1.NodeClaim) (why string) {
	if pool.DeletionTimestamp != nil {
		return "is being deleted"
	}
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return "not ready: " + c.Message
	}
	class, err := p.classOf(ctx, pool)
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, typesTimeout)
	defer cancel()
	instanceTypes, err := p.cfg.Catalog.Types(ctx, class)
	if err != nil {
		return "instance types are not known: " + err.Error()
	}
	for _, t := range instanceTypes {
		v.types[t.Name] = t
	}
	if pool.Spec.Replicas != nil {
		return "keeps a fixed number of nodes (spec.replicas)"
	}
	offers, err := p.offers.Of(pool, instanceTypes)
	if err != nil {
		return err.Error()
	}
	maps.Copy(v.budget.Slots, offering.Slots(instanceTypes, held))
	used := v.addOffers(pool, offers.Available)
	switch {
	case len(offers.Available) > used:
	case offers.SoldOut+used > 0:
		return fmt.Sprintf("EC2 has no capacity for any of its %d offerings at the moment", offers.SoldOut+used)
	default:
		return "no offering matches its requirements"
	}
	if least := pool.MinValues(); least != nil {
		v.variety[pool.Name] = least
	}
	return ""
}

// addOffers adds a pool's offers, save those whose reservation is used up, which it counts.
func (v *view) addOffers(pool *v1alpha1.NodePool, offers []offering.Offer) (usedUp int) {
	for _, o := range offers {
		limit := 0
		if r := o.Reservation; r != nil {
			if limit = v.budget.Slots[r.ID]; limit == 0 {
				usedUp++
				continue
			}
		}
		v.budget.Offers = append(v.budget.Offers, o)
		v.templates = append(v.templates, fit.Template{Node: o.Node, Price: o.Cost(), Tier: pool.Spec.Weight, Pool: pool.Name, Limit: limit})
	}
	return usedUp
}

// classOf reads the pool's class; nil stands for the defaults.
func (p *planner) classOf(ctx context.Context, pool *v1alpha1.NodePool) (*v1alpha1.EC2NodeClass, error) {
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		return nil, nil
	}
	class := &v1alpha1.EC2NodeClass{}
	if err := p.cfg.Client.Get(ctx, types.NamespacedName{Name: ref.Name}, class); err != nil {
		return nil, fmt.Errorf("EC2NodeClass %s: %w", ref.Name, err)
	}
	if c := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return nil, fmt.Errorf("EC2NodeClass %s is not ready: %s", ref.Name, c.Message)
	}
	return class, nil
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
	node, guessed := offering.InFlight(claim, v.types)
	node.Status.DeclaredFeatures = v.features[claim.Spec.NodePool]
	info := fit.InFlight(claim.Name, node, registered)
	if guessed != nil {
		v.guessed[node.Name] = guessed
	}
	return info
}
