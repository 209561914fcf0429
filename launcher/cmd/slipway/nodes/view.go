// Package nodes owns the view of a cluster's nodes, and of those on their way: what each is,
// what it costs, how full and in what state it is.
package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

// View is what there is at one look.
type View struct {
	// Nodes in the order in which they are shown; claims without a Node come last.
	Nodes  []Node `json:"nodes"`
	Totals Totals `json:"totals"`
}

// Node is a node of the cluster, or the NodeClaim of one that is on its way.
type Node struct {
	// Name of the Node that is there or will be; empty where it is not known yet.
	Name      string `json:"name"`
	NodeClaim string `json:"nodeClaim,omitempty"` // empty for nodes that Slipway did not launch
	// Absent says that there is no Node, not yet or, as the state tells, not any more.
	Absent       bool   `json:"absent"`
	NodePool     string `json:"nodePool,omitempty"`
	InstanceType string `json:"instanceType,omitempty"`
	Zone         string `json:"zone,omitempty"`
	CapacityType string `json:"capacityType,omitempty"`
	// PricePerHour in US dollars; 0 where nobody wrote it down. Of reserved capacity it is the
	// on-demand price, and in no sum.
	PricePerHour float64   `json:"pricePerHour"`
	CreatedAt    time.Time `json:"createdAt"`
	State        string    `json:"state"` // a word or two; see state
	// Message says more of the state, in the words of the claim's condition.
	Message string `json:"message,omitempty"`
	CPU     Use    `json:"cpu"`    // in cores
	Memory  Use    `json:"memory"` // in bytes
	Pods    Use    `json:"pods"`
	// ReservedPods have a place there and are yet to be bound.
	ReservedPods int `json:"reservedPods"`
}

// Use is how much of a resource pods have asked for. Of a node on its way it is what it was
// planned for.
type Use struct {
	Requested   float64 `json:"requested"`
	Allocatable float64 `json:"allocatable"`
}

// Share of it that is asked for, 0 where there is nothing.
func (u Use) Share() float64 {
	if u.Allocatable == 0 {
		return 0
	}
	return u.Requested / u.Allocatable
}

func (u *Use) add(more Use) {
	u.Requested += more.Requested
	u.Allocatable += more.Allocatable
}

// Totals of the nodes; use is that of nodes that are there.
type Totals struct {
	Nodes    int `json:"nodes"`
	OnTheWay int `json:"onTheWay"`
	// PricePerHour in US dollars of what is paid for, the price of reserved capacity aside.
	PricePerHour float64 `json:"pricePerHour"`
	// PricePerMonth of 730 hours.
	PricePerMonth float64 `json:"pricePerMonth"`
	WaitingPods   int     `json:"waitingPods"`
	CPU           Use     `json:"cpu"`
	Memory        Use     `json:"memory"`
	Pods          Use     `json:"pods"`
}

// Look reads the nodes, NodeClaims and pods of a cluster; one without NodeClaims, where
// Slipway is not installed, has nodes all the same.
func Look(ctx context.Context, from client.Reader, now time.Time) (*View, error) {
	var nodes corev1.NodeList
	var claims v1alpha1.NodeClaimList
	var pods corev1.PodList
	for _, list := range []client.ObjectList{&claims, &nodes, &pods} {
		err := from.List(ctx, list, client.UnsafeDisableDeepCopy)
		if list == &claims && meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	return New(nodes.Items, claims.Items, pods.Items, now), nil
}

// New makes the view of what was read.
func New(nodes []corev1.Node, claims []v1alpha1.NodeClaim, pods []corev1.Pod, now time.Time) *View {
	v := &View{Nodes: []Node{}}
	waiting := map[types.UID]bool{}
	on := map[string][]*corev1.Pod{}
	for i := range pods {
		switch pod := &pods[i]; {
		case cluster.IsWaiting(pod):
			waiting[pod.UID] = true
		case pod.Spec.NodeName != "" && !cluster.IsFinished(pod):
			on[pod.Spec.NodeName] = append(on[pod.Spec.NodeName], pod)
		}
	}
	byProvider := map[string]*v1alpha1.NodeClaim{}
	for i := range claims {
		if id := claims[i].Status.ProviderID; id != "" {
			byProvider[id] = &claims[i]
		}
	}
	there := map[string]bool{}
	for i := range nodes {
		claim := byProvider[nodes[i].Spec.ProviderID]
		if claim != nil {
			there[claim.Name] = true
		}
		v.Nodes = append(v.Nodes, Of(&nodes[i], claim, on[nodes[i].Name], now).awaiting(claim, waiting))
	}
	for i := range claims {
		if claim := &claims[i]; !there[claim.Name] {
			v.Nodes = append(v.Nodes, Of(nil, claim, nil, now).awaiting(claim, waiting))
		}
	}
	v.sum()
	v.Totals.WaitingPods = len(waiting)
	return v
}

// Of describes a node with the pods on it. Either of node and claim may be nil: the node is on
// its way, or was not launched by Slipway.
func Of(node *corev1.Node, claim *v1alpha1.NodeClaim, pods []*corev1.Pod, now time.Time) Node {
	var n Node
	var allocatable, requested corev1.ResourceList
	count := 0
	if claim != nil {
		s := &claim.Status
		n = Node{
			Name: s.NodeName, NodeClaim: claim.Name, Absent: node == nil, NodePool: claim.Spec.NodePool, InstanceType: s.InstanceType,
			Zone: s.Zone, CapacityType: s.CapacityType, CreatedAt: claim.CreationTimestamp.UTC(),
		}
		if s.Price != nil {
			n.PricePerHour = round(s.Price.AsApproximateFloat64(), 1e6)
		}
		allocatable, requested = s.Allocatable, claim.Spec.Requests
		count = len(claim.HeldPods()) + int(claim.Spec.ExpectedPods)
	}
	if node != nil {
		n.Name, n.CreatedAt = node.Name, node.CreationTimestamp.UTC()
		for label, field := range map[string]*string{
			v1alpha1.LabelNodePool: &n.NodePool, corev1.LabelInstanceTypeStable: &n.InstanceType,
			corev1.LabelTopologyZone: &n.Zone, v1alpha1.LabelCapacityType: &n.CapacityType,
		} {
			if value := node.Labels[label]; value != "" {
				*field = value
			}
		}
		allocatable, requested, count = node.Status.Allocatable, requests(pods), len(pods)
	}
	n.CPU = use(requested, allocatable, corev1.ResourceCPU)
	n.Memory = use(requested, allocatable, corev1.ResourceMemory)
	n.Pods = use(nil, allocatable, corev1.ResourcePods)
	n.Pods.Requested = float64(count)
	n.State, n.Message = state(node, claim, pods, now)
	return n
}

// awaiting counts the pods that are yet to come to the node.
func (n Node) awaiting(claim *v1alpha1.NodeClaim, waiting map[types.UID]bool) Node {
	if claim == nil {
		return n
	}
	for _, held := range claim.HeldPods() {
		if waiting[held.UID] {
			n.ReservedPods++
		}
	}
	return n
}

func requests(pods []*corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, pod := range pods {
		for name, q := range resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true}) {
			total := sum[name]
			total.Add(q)
			sum[name] = total
		}
	}
	return sum
}

func use(requested, allocatable corev1.ResourceList, name corev1.ResourceName) Use {
	r, a := requested[name], allocatable[name]
	return Use{r.AsApproximateFloat64(), a.AsApproximateFloat64()}
}

// sum works the totals out.
func (v *View) sum() {
	v.Totals = Totals{WaitingPods: v.Totals.WaitingPods}
	for _, n := range v.Nodes {
		if n.CapacityType != v1alpha1.CapacityTypeReserved {
			v.Totals.PricePerHour += n.PricePerHour
		}
		if n.State == StatePlanned || n.State == StateBooting {
			v.Totals.OnTheWay++
		}
		if n.Absent {
			continue
		}
		v.Totals.Nodes++
		v.Totals.CPU.add(n.CPU)
		v.Totals.Memory.add(n.Memory)
		v.Totals.Pods.add(n.Pods)
	}
	v.Totals.CPU.Requested, v.Totals.CPU.Allocatable = round(v.Totals.CPU.Requested, 1e3), round(v.Totals.CPU.Allocatable, 1e3)
	v.Totals.PricePerHour = round(v.Totals.PricePerHour, 1e6)
	v.Totals.PricePerMonth = round(v.Totals.PricePerHour*table.HoursPerMonth, 100)
}

// round to parts of one.
func round(x, parts float64) float64 { return math.Round(x*parts) / parts }

// JSON writes the view as JSON.
func (v *View) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
