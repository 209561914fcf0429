package observe

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// View is what was seen since the last Reset. What is gone stays in it.
type View struct {
	Pods   map[types.UID]*Pod
	Nodes  map[string]*Node
	Claims map[string]*Claim

	unschedulable, bound, gone int                  // pods
	holders                    map[types.UID]string // by pod, the claim that holds its place
	byNode                     map[string]string    // claims by their nodes
	events                     map[types.UID]bool
}

// Pod is a pod with the times it was first seen so; zero where it never was.
type Pod struct {
	Name, Node string
	// Promised is the node that it was nominated to before it was bound.
	Promised                            string
	Created, Unschedulable, Bound, Gone time.Time
}

// Node is a node with the times it was first seen so; zero where it never was.
type Node struct {
	Name, InstanceType, Zone string
	Registered               time.Time
	// Ready is when its kubelet said so, Schedulable when the control plane's not-ready
	// taint was off as well: before that no pod can be bound to it.
	Ready, Schedulable, Cordoned, Gone time.Time
}

// Claim is a NodeClaim as last seen, with the times it was first seen written, with an
// instance and gone.
type Claim struct {
	*v1alpha1.NodeClaim
	Written, Launched, Gone time.Time
}

// NewView returns a view of nothing.
func NewView() *View {
	return &View{
		Pods: map[types.UID]*Pod{}, Nodes: map[string]*Node{}, Claims: map[string]*Claim{},
		holders: map[types.UID]string{}, byNode: map[string]string{}, events: map[types.UID]bool{},
	}
}

// Unschedulable is how many pods were found to fit nowhere.
func (v *View) Unschedulable() int { return v.unschedulable }

// Bound is how many pods were bound.
func (v *View) Bound() int { return v.bound }

// LivePods is how many pods are there.
func (v *View) LivePods() int { return len(v.Pods) - v.gone }

// Empty tells whether all nodes and claims that were seen are gone.
func (v *View) Empty() bool {
	for _, n := range v.Nodes {
		if n.Gone.IsZero() {
			return false
		}
	}
	for _, c := range v.Claims {
		if c.Gone.IsZero() {
			return false
		}
	}
	return true
}

// ClaimOf finds the claim that holds a pod's place; nil where none does. A pod may be told
// before the claim shows it.
func (v *View) ClaimOf(pod types.UID) *Claim {
	if c := v.Claims[v.holders[pod]]; c != nil {
		return c
	}
	if p := v.Pods[pod]; p != nil && p.Promised != "" {
		return v.Claims[v.byNode[p.Promised]]
	}
	return nil
}

// On returns the pods that were bound to a node, and how many of them had it reserved.
func (v *View) On(node string) (pods, reserved int) {
	for uid, p := range v.Pods {
		if p.Node != node {
			continue
		}
		pods++
		if c := v.ClaimOf(uid); c != nil && c.Status.NodeName == node {
			reserved++
		}
	}
	return pods, reserved
}

// Kind of a sight.
type Kind int

// What can be seen.
const (
	PodCreated Kind = iota + 1
	PodUnschedulable
	PodBound
	NodeRegistered
	NodeSchedulable
	NodeCordoned
	NodeGone
	ClaimLaunched
	EventWritten
)

// Sight is one thing seen for the first time. The one of its fields that Kind names is set.
type Sight struct {
	Kind  Kind
	At    time.Time
	View  *View // what was seen until now, this included
	Pod   *Pod
	Node  *Node
	Claim *Claim
	Event *eventsv1.Event
}

func (o *Observer) tell(s Sight) {
	if o.hear != nil {
		s.View = o.view
		o.hear(s)
	}
}

// first sets a time unless it is set already, and tells whether it did.
func first(t *time.Time, now time.Time) bool {
	if !t.IsZero() {
		return false
	}
	*t = now
	return true
}

func (o *Observer) pod(pod *corev1.Pod, gone bool) {
	o.note(func(now time.Time) {
		p := o.view.Pods[pod.UID]
		if p == nil {
			if gone {
				return
			}
			p = &Pod{Name: pod.Name, Created: now}
			o.view.Pods[pod.UID] = p
			o.tell(Sight{Kind: PodCreated, At: now, Pod: p})
		}
		if isUnschedulable(pod) && first(&p.Unschedulable, now) {
			o.view.unschedulable++
			o.tell(Sight{Kind: PodUnschedulable, At: now, Pod: p})
		}
		if nominated := pod.Status.NominatedNodeName; nominated != "" && p.Bound.IsZero() {
			p.Promised = nominated
		}
		if pod.Spec.NodeName != "" && first(&p.Bound, now) {
			p.Node = pod.Spec.NodeName
			o.view.bound++
			o.tell(Sight{Kind: PodBound, At: now, Pod: p})
		}
		if gone && first(&p.Gone, now) {
			o.view.gone++
		}
	})
}

func isUnschedulable(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

func (o *Observer) node(node *corev1.Node, gone bool) {
	o.note(func(now time.Time) {
		n := o.view.Nodes[node.Name]
		if n == nil {
			if gone {
				return
			}
			n = &Node{
				Name: node.Name, Registered: now,
				InstanceType: node.Labels[corev1.LabelInstanceTypeStable], Zone: node.Labels[corev1.LabelTopologyZone],
			}
			o.view.Nodes[node.Name] = n
			o.tell(Sight{Kind: NodeRegistered, At: now, Node: n})
		}
		if isReady(node) {
			first(&n.Ready, now)
			if !hasTaint(node, corev1.TaintNodeNotReady) && first(&n.Schedulable, now) {
				o.tell(Sight{Kind: NodeSchedulable, At: now, Node: n})
			}
		}
		if hasTaint(node, v1alpha1.DisruptedTaintKey) && first(&n.Cordoned, now) {
			o.tell(Sight{Kind: NodeCordoned, At: now, Node: n})
		}
		if gone && first(&n.Gone, now) {
			o.tell(Sight{Kind: NodeGone, At: now, Node: n})
		}
	})
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func hasTaint(node *corev1.Node, key string) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key })
}

func (o *Observer) claim(claim *v1alpha1.NodeClaim, gone bool) {
	o.note(func(now time.Time) {
		if gone {
			if c := o.view.Claims[claim.Name]; c != nil {
				first(&c.Gone, now) // its last state is that of its life
			}
			return
		}
		if c := o.view.Hold(claim, now); claim.Status.NodeName != "" && first(&c.Launched, now) {
			o.tell(Sight{Kind: ClaimLaunched, At: now, Claim: c})
		}
	})
}

// Hold notes whose places a claim holds now.
func (v *View) Hold(claim *v1alpha1.NodeClaim, now time.Time) *Claim {
	c := v.Claims[claim.Name]
	if c == nil {
		c = &Claim{Written: now}
		v.Claims[claim.Name] = c
	}
	c.NodeClaim = claim
	if claim.Status.NodeName != "" {
		v.byNode[claim.Status.NodeName] = claim.Name
	}
	for _, uid := range claim.Status.Released {
		if v.holders[uid] == claim.Name {
			delete(v.holders, uid)
		}
	}
	for _, pod := range claim.HeldPods() {
		v.holders[pod.UID] = claim.Name
	}
	return c
}

func (o *Observer) event(e *eventsv1.Event) {
	o.note(func(now time.Time) {
		if !o.view.events[e.UID] {
			o.view.events[e.UID] = true
			o.tell(Sight{Kind: EventWritten, At: now, Event: e})
		}
	})
}
