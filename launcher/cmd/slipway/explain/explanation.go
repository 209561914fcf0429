// Package explain owns what is said of one pod, node or NodeClaim: why a pod waits, why a node
// stays or goes, what that costs and what is in the way. It says so in the words of the
// object's own conditions and events wherever they have any, and reads nothing itself.
package explain

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

// Scene is what there is around an object, at one look.
type Scene struct {
	Now time.Time
	// Pods on the node, and those that wait for one; to explain a pod, the pod itself suffices.
	Pods []*corev1.Pod
	// Node is that of the pod or the claim; nil where there is none.
	Node *corev1.Node
	// Claims are all NodeClaims of the cluster.
	Claims []*v1alpha1.NodeClaim
	// Pool of the claim; nil where it is gone.
	Pool *v1alpha1.NodePool
	// Budgets are the PodDisruptionBudgets of the namespaces that matter.
	Budgets []*policyv1.PodDisruptionBudget
	// Events about the object.
	Events []*eventsv1.Event
	// Schedulers are the names of Slipway's profiles.
	Schedulers []string
	// Notes say what could not be read.
	Notes []string
}

// Explanation is what is said of an object. Texts are sentences, the most important first.
type Explanation struct {
	Kind      string `json:"kind"` // pod, node or nodeclaim
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// State in a word, for programs: one of the constants, or of package nodes.
	State   string `json:"state"`
	Summary string `json:"summary"`
	// Details say more of it.
	Details []string `json:"details,omitempty"`
	// Kept is what keeps the node from being removed or drained, or the pod from being evicted.
	Kept []string `json:"kept,omitempty"`
	// Advice is what a person can do.
	Advice []string `json:"advice,omitempty"`
	// Plan for the pod alone, made now.
	Plan *report.Result `json:"plan,omitempty"`
	// PlanPrices says where the plan's types and prices come from.
	PlanPrices string `json:"planPrices,omitempty"`
	// Node is the one the object is, runs on or waits for.
	Node *nodes.Node `json:"node,omitempty"`
	// PodsOnIt counts by their owners, such as "deployment/web".
	PodsOnIt   map[string]int `json:"podsOnIt,omitempty"`
	Conditions []Condition    `json:"conditions,omitempty"` // of the NodeClaim
	Events     []Event        `json:"events,omitempty"`     // the latest first

	now time.Time
}

// The states of a pod; those of nodes are package nodes' states and causes.
const (
	StateBound       = "Bound"
	StateEnded       = "Ended"
	StateDeleted     = "Deleted"      // and has no node
	StateGated       = "Gated"        // by scheduling gates of its own
	StateElsewhere   = "NotOurs"      // another scheduler's, or not launched by Slipway
	StateForNode     = "ForItsNode"   // a DaemonSet's pod
	StateReserved    = "Reserved"     // its node is on its way, or ready
	StateUnseen      = "Unseen"       // by any scheduler
	StateDelayed     = "Delayed"      // a launch for it has yet to work
	StateNoPlace     = "Unlaunchable" // no node can be launched for it
	StateUnscheduled = "Unscheduled"  // it waits for anything else
)

// Condition is one of a NodeClaim's.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

// Event is what was said about the object.
type Event struct {
	Last    time.Time `json:"last"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// JSON writes the explanation as JSON.
func (e *Explanation) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(e)
}

// Text writes the explanation for people, in lines of about the width.
func (e *Explanation) Text(w io.Writer, width int) error {
	p := &printer{width: width}
	p.wrapped("", e.Summary)
	for _, detail := range e.Details {
		p.wrapped("  ", detail)
	}
	p.list("In the way:", e.Kept)
	p.list("What to do:", e.Advice)
	p.plan(e)
	p.node(e)
	p.words(e)
	_, err := io.WriteString(w, p.out.String())
	return err
}

func (e *Explanation) ago(t time.Time) string { return duration.HumanDuration(e.now.Sub(t)) }

// printer gathers the text.
type printer struct {
	out   strings.Builder
	width int
}

// wrapped writes a text; the lines after its first are indented further.
func (p *printer) wrapped(indent, text string) {
	for i, line := range table.Wrap(text, max(p.width-len(indent)-2, 40)) {
		if i > 0 {
			line = "  " + line
		}
		p.out.WriteString(indent + line + "\n")
	}
}

func (p *printer) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.out.WriteString("\n" + title + "\n")
	for _, line := range lines {
		p.wrapped("  ", line)
	}
}
