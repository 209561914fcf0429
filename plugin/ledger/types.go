package ledger

import (
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// State is where a reservation stands; see Ledger.
type State int

// The states of a reservation.
const (
	Waiting State = iota
	Planned
	Launched
	Ready
	Unlaunchable

	numStates = iota
)

// States are all of them.
func States() []State { return []State{Waiting, Planned, Launched, Ready, Unlaunchable} }

// String returns the state's name as it appears in metrics and messages.
func (s State) String() string {
	return [numStates]string{"Waiting", "Planned", "Launched", "Ready", "Unlaunchable"}[s]
}

// PodRef names one pod for good: a pod created anew under the name has another UID.
type PodRef struct {
	UID             types.UID
	Namespace, Name string
}

// Pod is what the ledger must know of a pod. It is never changed once given.
type Pod struct {
	PodRef
	Priority    int32
	Requests    Resources
	Ports       []v1.ContainerPort // host ports only
	Tolerations []v1.Toleration
}

// Resources are amounts in the scheduler's units: milli-CPUs and bytes.
type Resources struct {
	MilliCPU, Memory, EphemeralStorage int64
	// Scalar holds every other resource.
	Scalar map[v1.ResourceName]int64
}

// Holder is a pod that holds room on a node.
type Holder struct {
	UID types.UID
	// Pod is nil while nothing but the pod's name is known.
	Pod *Pod
}

// Offer is what was bought.
type Offer struct {
	InstanceType, Zone, CapacityType string
	// Price is in US dollars an hour, of the whole node.
	Price float64
	// ExpectedReady is when the node will be ready, going by earlier ones; zero where that is
	// not known.
	ExpectedReady time.Time
}

// Reservation is how things stand with one pod.
type Reservation struct {
	Ref PodRef
	// Pod is nil while nothing but the pod's name is known.
	Pod         *Pod
	State       State
	Claim, Node string
	Offer       Offer
	// Reason is a sentence for people: why the state is what it is.
	Reason string
	// Batch says for people with whom the pod was planned.
	Batch string
	// Unanswered says that the TTL of Waiting or Planned ran out, which opened the gate.
	Unanswered bool
	// Trying says that the gate was opened because there may be room elsewhere.
	Trying bool
	// Binding says that the scheduler has chosen a node for the pod and binds it.
	Binding bool
	// Since is when the pod came into the ledger, ReadyAt when its node became ready.
	Since, ReadyAt time.Time
}

// GateClosed reports whether the pod must stay out of the scheduling queue.
func (r Reservation) GateClosed() bool {
	switch r.State {
	case Waiting, Planned, Launched:
		return !r.Unanswered && !r.Trying && !r.Binding
	default:
		return false
	}
}

// entry is a reservation and what only the state machine needs.
type entry struct {
	Reservation
	// deadline is when the TTL runs out; zero means that none runs.
	deadline time.Time
	// left is what is left of the TTL while the pod is being bound, and chosen the node that
	// it is bound to.
	left   time.Duration
	chosen string
	// launchedAt is when the node's name became known.
	launchedAt time.Time
	// initialized is the launcher's word that the node has all its resources.
	initialized bool
	// held is the launcher's word that the node must not be used yet.
	held bool
	// refused tells a refusal, after which the launcher does not keep the pod.
	refused bool
	// returned is a claim that was given back: later words on it are out of date.
	returned string
	// lost says that the launcher did not know of the reservation while the pod was being bound.
	lost bool
}

func (e *entry) wasReturned(claim string) bool { return claim != "" && e.returned == claim }

// Node is what the ledger must know of a node.
type Node struct {
	Name string
	// Version is the object's resource version.
	Version string
	// Ours says that the launcher bought it.
	Ours bool
	// Claim is the NodeClaim it belongs to, from when the launcher has registered it.
	Claim string
	Ready bool
	// Taints are those that keep pods out: NoSchedule and NoExecute.
	Taints []v1.Taint
	// Scalar names the resources, other than CPU, memory and storage, of which the node
	// has any.
	Scalar map[v1.ResourceName]struct{}
}

// labelNodePool is on every node that the launcher buys, from birth.
const labelNodePool = "slipway.dev/nodepool"

// registering tells whether a node is one of the launcher's that is not tied to its claim
// yet: for whom it was bought is not known for sure before.
func (n Node) registering() bool { return n.Ours && n.Claim == "" }

// claimOf names the NodeClaim that a node belongs to; "" if it has none, or not yet.
func claimOf(node *v1.Node) string {
	for i := range node.OwnerReferences {
		if o := &node.OwnerReferences[i]; o.Kind == "NodeClaim" && strings.HasPrefix(o.APIVersion, "slipway.dev/") {
			return o.Name
		}
	}
	return ""
}

// NodeOf reads a node object.
func NodeOf(obj *v1.Node) Node {
	n := Node{Name: obj.Name, Version: obj.ResourceVersion, Claim: claimOf(obj)}
	_, n.Ours = obj.Labels[labelNodePool]
	for _, c := range obj.Status.Conditions {
		if c.Type == v1.NodeReady {
			n.Ready = c.Status == v1.ConditionTrue
		}
	}
	for _, t := range obj.Spec.Taints {
		if t.Effect == v1.TaintEffectNoSchedule || t.Effect == v1.TaintEffectNoExecute {
			n.Taints = append(n.Taints, t)
		}
	}
	if obj.Spec.Unschedulable {
		// The scheduler reads the field as if it were this taint.
		n.Taints = append(n.Taints, v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule})
	}
	for name, q := range obj.Status.Allocatable {
		switch name {
		case v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage, v1.ResourcePods:
		default:
			if q.IsZero() {
				continue
			}
			if n.Scalar == nil {
				n.Scalar = map[v1.ResourceName]struct{}{}
			}
			n.Scalar[name] = struct{}{}
		}
	}
	return n
}

// admits reports whether the node is able to take the pod now. Devices are registered
// some time after the node is ready; initialized says that none is still to come.
func (n Node) admits(pod *Pod, initialized bool) bool {
	if pod == nil || !n.Ready {
		return false
	}
	for i := range n.Taints {
		if !tolerates(pod.Tolerations, &n.Taints[i]) {
			return false
		}
	}
	if initialized {
		return true
	}
	for name, amount := range pod.Requests.Scalar {
		if _, ok := n.Scalar[name]; amount > 0 && !ok {
			return false
		}
	}
	return true
}

func tolerates(tolerations []v1.Toleration, taint *v1.Taint) bool {
	for i := range tolerations {
		// The API server admits comparison operators only where they are enabled.
		if tolerations[i].ToleratesTaint(klog.Background(), taint, true) {
			return true
		}
	}
	return false
}
