package simulate

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Input is what there is to plan with; all fields are required.
type Input struct {
	Profile  *schedulerconfig.KubeSchedulerProfile
	Objects  *workload.Objects
	Workload *workload.Workload
	// Offers that may be bought, the types that are known by their names, and the pools whose
	// limits count.
	Offers []offering.Offer
	Types  map[string]offering.Type
	Pools  []*v1alpha1.NodePool
}

// improve bounds the search for a cheaper plan. It is several times what a daemon takes
// whose pods wait.
const improve = time.Second

// alternatives is the daemon's default. Only the chosen offering is shown, but a pool with
// minValues asks for them.
const alternatives = 60

// Plan plans for the workload's waiting pods. Templates of the plan are Input.Offers.
func Plan(ctx context.Context, in Input) (*fit.Plan, error) {
	client, err := newMemory(in.Objects).client()
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	ctx, cancel := context.WithCancel(ctx)
	defer factory.Shutdown()
	defer cancel()
	engine, err := fit.NewEngine(ctx, fit.Config{
		Profile: in.Profile, Client: client, Informers: factory, OutOfTree: []string{"Slipway"},
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	if err := engine.WaitForSync(ctx); err != nil {
		return nil, err
	}
	return engine.Plan(ctx, in.fitInput())
}

func (in *Input) fitInput() fit.Input {
	limits, slots := newLimits(in.Pools), map[string]int{}
	out := fit.Input{
		Pods: in.Workload.Waiting, Open: sets.New[string](), Guessed: map[string]func(string) bool{}, DaemonSets: in.Objects.DaemonSets,
		Budget: offering.Budget{Limits: limits, Offers: in.Offers, Slots: slots}, Variety: map[string]fit.Variety{},
		Alternatives: alternatives, Improve: improve,
	}
	for _, p := range in.Pools {
		if least := p.MinValues(); least != nil {
			out.Variety[p.Name] = least
		}
	}
	infos := map[string]*framework.NodeInfo{}
	for _, node := range in.Objects.Nodes {
		limits.Count(node.Labels[v1alpha1.LabelNodePool], node.Status.Capacity)
		if node.DeletionTimestamp != nil {
			continue
		}
		if node.Labels[corev1.LabelHostname] == "" { // a kubelet would have set it
			if node.Labels == nil {
				node.Labels = map[string]string{}
			}
			node.Labels[corev1.LabelHostname] = node.Name
		}
		infos[node.Name] = in.nodeInfo(node)
		if usable(node) {
			out.Open.Insert(node.Name)
		}
	}
	out.Features = cluster.DeclaredFeatures(infos)
	in.addInFlight(&out, infos, limits)
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		out.Nodes = append(out.Nodes, infos[name])
	}
	maps.Copy(slots, offering.Slots(slices.Collect(maps.Values(in.Types)), in.Objects.NodeClaims))
	for _, o := range in.Offers {
		limit := 0
		if r := o.Reservation; r != nil {
			limit = slots[r.ID]
		}
		out.Templates = append(out.Templates, fit.Template{Node: o.Node, Price: o.Cost(), Tier: o.Pool.Spec.Weight, Pool: o.Pool.Name, Limit: limit})
	}
	return out
}

func newLimits(pools []*v1alpha1.NodePool) *offering.Limits {
	var all []v1alpha1.NodePool
	for _, p := range pools {
		all = append(all, *p)
	}
	return offering.NewLimits(all)
}

// usable tells whether pods may be put on an existing node. A node without conditions is
// one that somebody wrote down.
func usable(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue && !node.Spec.Unschedulable
		}
	}
	return !node.Spec.Unschedulable
}

// nodeInfo is a node with the pods on it.
func (in *Input) nodeInfo(node *corev1.Node) *framework.NodeInfo {
	info := framework.NewNodeInfo()
	info.SetNode(node)
	for _, pod := range in.Workload.Running[node.Name] {
		info.AddPod(pod)
	}
	return info
}
