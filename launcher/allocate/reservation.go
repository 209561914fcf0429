package allocate

import (
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Phase is how far a pod's reservation has come.
type Phase int

// The phases; see the package comment.
const (
	Waiting Phase = iota + 1
	Planned
	Launched
	Ready
	Unlaunchable
	Ended
)

var phaseNames = map[Phase]string{
	Waiting: "waiting", Planned: "planned", Launched: "launched", Ready: "ready", Unlaunchable: "unlaunchable", Ended: "ended",
}

func (p Phase) String() string { return phaseNames[p] }

// Reservation is how things stand with one pod.
type Reservation struct {
	Pod   types.NamespacedName
	UID   types.UID
	Phase Phase
	// Of the claim, from Planned on.
	Claim, NodeName, InstanceType, Zone, CapacityType string
	Price                                             float64 // US dollars per hour of the whole node
	Reason                                            string
	// Since is when the launcher first knew the pod.
	Since time.Time
	// Batch says for people which batch the pod was planned in.
	Batch string
	// ExpectedReady is when the node will be ready, going by earlier ones; zero where that is
	// not known.
	ExpectedReady time.Time
	// Held is set while the node must not be used though it may be ready: too few of the
	// pod's group have one.
	Held bool
}

// entry is what the loop knows of a pod.
type entry struct {
	Reservation
	pod   *corev1.Pod
	owner types.UID // of the pod's controller, if it has one
	group *group    // that the pod belongs to, if any
	// lingers is set while a pod that waits is left out of plans; see gather.
	lingers bool
	told    Phase  // the phase as last told
	batch   string // that it was planned in
	// registered is set once the claim's node has registered, which is no phase of its own.
	registered bool
	// failures in a row that call for patience, and until when to have it.
	failures  int
	notBefore time.Time
	// recheck is when a parked pod is planned for again even if nothing changed.
	recheck time.Time
}

// stand derives a pod's state from its claim.
func (l *loop) stand(e *entry, claim *v1alpha1.NodeClaim) {
	used := e.Phase == Ready && e.Claim == claim.Name
	stand(&e.Reservation, claim)
	e.Held = e.group != nil && !used && !e.group.formed
	if e.Held && e.Phase == Ready {
		e.Phase, e.Reason = Launched, "waits for other nodes of "+e.group.name
	}
	e.Batch = e.batch
	if e.Phase == Launched && e.ExpectedReady.IsZero() {
		e.ExpectedReady = l.boots.expect(claim)
	}
}

// stand derives a reservation's state from its claim.
func stand(r *Reservation, claim *v1alpha1.NodeClaim) {
	r.Claim, r.NodeName = claim.Name, claim.Status.NodeName
	r.InstanceType, r.Zone, r.CapacityType = claim.Status.InstanceType, claim.Status.Zone, claim.Status.CapacityType
	price := claim.Status.Price
	if r.InstanceType == "" && len(claim.Spec.Offerings) > 0 {
		first := claim.Spec.Cheapest()
		r.InstanceType, r.Zone, r.CapacityType, price = first.InstanceType, first.Zone, first.CapacityType, &first.Price
	}
	if price != nil {
		r.Price = price.AsApproximateFloat64()
	}
	r.Reason = ""
	switch {
	case meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionInitialized):
		r.Phase = Ready
	case claim.Status.NodeName != "":
		r.Phase = Launched
	default:
		r.Phase, r.Reason = Planned, delay(claim)
	}
}

// delay says what holds a claim's launch up; "" when nothing is in the way.
func delay(claim *v1alpha1.NodeClaim) string {
	c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionLaunched)
	if c == nil {
		return ""
	}
	switch c.Reason {
	case v1alpha1.ReasonThrottled, v1alpha1.ReasonLaunchFailing:
		return "the launch failed and is tried again: " + forPeople(c.Message)
	case v1alpha1.ReasonLaunchesCapped:
		return c.Message
	}
	return ""
}

// requestDetails are what an AWS error says of one request alone.
var requestDetails = regexp.MustCompile(`(https response error )?StatusCode: \d+, RequestID: [^,]*, `)

// forPeople leaves out of an error what differs from try to try, so that it is told once.
func forPeople(message string) string { return requestDetails.ReplaceAllString(message, "") }
