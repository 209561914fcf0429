package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// Node explains the scene's node.
func Node(s *Scene) *Explanation {
	e := s.explanation("node", "", s.Node.Name)
	s.whereabouts(e, s.ClaimOfNode())
	return e
}

// NodeClaim explains a claim, with its node where it has one.
func NodeClaim(s *Scene, claim *v1alpha1.NodeClaim) *Explanation {
	e := s.explanation("nodeclaim", "", claim.Name)
	s.whereabouts(e, claim)
	return e
}

// whereabouts says why a node stays or goes, or how far it is.
func (s *Scene) whereabouts(e *Explanation, claim *v1alpha1.NodeClaim) {
	on := s.podsOn(s.Node)
	n := nodes.Of(s.Node, claim, on, s.Now)
	e.setNode(n)
	e.PodsOnIt = map[string]int{}
	for _, pod := range on {
		e.PodsOnIt[workload.Owner(pod)]++
	}
	if claim == nil {
		e.say(StateElsewhere, "was not launched by Slipway, which leaves it alone"+after(": it is ", notReady(n)))
		e.detail("No NodeClaim has its provider id, " + s.Node.Spec.ProviderID + ".")
		return
	}
	e.setConditions(claim)
	switch n.State {
	case nodes.StatePlanned, nodes.StateBooting, nodes.StateJoining:
		e.say(n.State, "is on its way: "+s.way(claim, &n))
		if claim.Status.InstanceType == "" {
			e.detail(offerings(claim))
		}
	case nodes.StateDraining, nodes.StateEnding:
		s.leaving(e, claim, &n)
	default:
		s.staying(e, claim, &n)
	}
	if n := len(s.promised(claim)); n > 0 {
		e.detail(fmt.Sprintf("%s on it, and yet to be bound: %s.", table.Count(n, "pod")+" with a place reserved", strings.Join(some(s.promised(claim)), ", ")))
	}
	if len(claim.Spec.Replaces) > 0 {
		e.detail("It was bought in place of NodeClaims " + strings.Join(claim.Spec.Replaces, ", ") + ".")
	}
}

func notReady(n nodes.Node) string {
	if n.State == nodes.StateReady {
		return ""
	}
	return n.State + after(": ", n.Message)
}

// leaving explains a node whose end has been asked for.
func (s *Scene) leaving(e *Explanation, claim *v1alpha1.NodeClaim, n *nodes.Node) {
	what := "is being drained"
	if n.State == nodes.StateEnding {
		what = "has been ending" + s.since(claim, v1alpha1.ConditionInstanceTerminated)
	} else if since := s.since(claim, v1alpha1.ConditionDraining); since != "" {
		what = "has been draining" + since
	}
	e.say(n.State, what+after(": ", n.Message))
	why := "It goes because its NodeClaim or its Node was deleted by hand."
	if causes := nodes.Causes(claim); len(causes) > 0 && decided(causes[0]) {
		why = "It goes for being " + causes[0].Type + after(": ", brief(causes[0].Message))
	}
	e.detail(why)
	if n.State == nodes.StateEnding {
		return
	}
	if end := s.deadline(claim); !end.IsZero() {
		e.detail("What is left on it by " + clock(end) + " is ended without asking.")
	} else {
		e.detail("It waits for as long as that takes: its NodePool has no terminationGracePeriod.")
	}
	s.obstacles(e, claim, "drain")
}

// decided tells whether the condition is what the node's removal was begun for.
func decided(c metav1.Condition) bool {
	return c.Status == metav1.ConditionTrue && (c.Reason == v1alpha1.ReasonDisrupting || c.Type == v1alpha1.ConditionInterrupted)
}

// deadline is when a drain ends whatever is left; zero if never.
func (s *Scene) deadline(claim *v1alpha1.NodeClaim) time.Time {
	var end time.Time
	if claim.Status.EndsAt != nil {
		end = claim.Status.EndsAt.Time
	}
	if s.Pool != nil && claim.DeletionTimestamp != nil {
		if grace := s.Pool.Spec.Template.Spec.TerminationGracePeriod; grace != nil {
			if by := claim.DeletionTimestamp.Add(grace.Duration); end.IsZero() || by.Before(end) {
				end = by
			}
		}
	}
	return end
}

// staying explains a node that is there, and whether it is to go.
func (s *Scene) staying(e *Explanation, claim *v1alpha1.NodeClaim, n *nodes.Node) {
	var holding, others []metav1.Condition
	for _, c := range nodes.Causes(claim) {
		if c.Status == metav1.ConditionTrue {
			holding = append(holding, c)
		} else {
			others = append(others, c)
		}
	}
	if n.State == nodes.StateNotReady {
		e.say(n.State, "is not ready: "+n.Message)
	} else if len(holding) == 0 {
		e.say(n.State, "stays: "+s.needed(claim, n))
	} else {
		c := holding[0]
		e.say(n.State, fmt.Sprintf(predicate(c), c.Type+s.since(claim, c.Type))+after(": ", brief(c.Message)))
	}
	more := holding[min(len(holding), 1):]
	if n.State == nodes.StateNotReady {
		more = holding
	}
	for _, c := range more {
		e.detail(fmt.Sprintf("It is %s, too%s", c.Type, after(": ", c.Message)))
	}
	if c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionReplaced); c != nil && len(holding) > 0 && decided(holding[0]) {
		e.detail(fmt.Sprintf("Room for the pods that will follow its own (Replaced is %s): %s.", c.Status, c.Message))
	}
	for _, c := range others {
		if c.Type == v1alpha1.ConditionConsolidatable && c.Message != "" {
			e.detail("It is not consolidated: " + c.Message + ".")
		}
	}
	if s.Node != nil && s.Node.Spec.Unschedulable {
		e.detail("It is cordoned: no further pod is scheduled to it")
	}
	s.fate(e, claim)
	s.obstacles(e, claim, "disruption")
}

// predicate is what a condition that is True says of a node, with room for its type.
func predicate(c metav1.Condition) string {
	switch {
	case c.Type == v1alpha1.ConditionInterrupted:
		return "is taken back by AWS (%s)"
	case decided(c):
		return "is being removed (%s)"
	case c.Type == v1alpha1.ConditionEmpty, c.Type == v1alpha1.ConditionImpaired:
		return "has been %s"
	default:
		return "is to go (%s) and is still there"
	}
}

// since is " for 12s", the time that a condition of the claim has been as it is.
func (s *Scene) since(claim *v1alpha1.NodeClaim, condition string) string {
	if c := meta.FindStatusCondition(claim.Status.Conditions, condition); c != nil {
		return " for " + ago(s.Now, c.LastTransitionTime.Time)
	}
	return ""
}

// needed says what a node that nothing is wrong with is there for.
func (s *Scene) needed(claim *v1alpha1.NodeClaim, n *nodes.Node) string {
	count := 0
	for _, pod := range s.podsOn(s.Node) {
		if !cluster.IsDaemonPod(pod) {
			count++
		}
	}
	promised := s.promised(claim)
	switch {
	case count == 1:
		return "1 pod besides DaemonSets' runs on it"
	case count > 1:
		return fmt.Sprintf("%d pods besides DaemonSets' run on it", count)
	case len(promised) > 0:
		return "room is reserved for pod " + promised[0]
	case n.State == nodes.StateProtected:
		return n.Message
	default:
		return "nothing says that it should go"
	}
}

// promised names the pods that hold a place on the claim, or are nominated to its node, and wait.
func (s *Scene) promised(claim *v1alpha1.NodeClaim) []string {
	var names []string
	for _, pod := range s.Pods {
		nominated := claim.Status.NodeName != "" && pod.Status.NominatedNodeName == claim.Status.NodeName
		if cluster.IsWaiting(pod) && (nominated || holds(claim, pod.UID)) {
			names = append(names, workload.Key(pod))
		}
	}
	slices.Sort(names)
	return names
}

// fate says when the node goes by the rules of its pool.
func (s *Scene) fate(e *Explanation, claim *v1alpha1.NodeClaim) {
	if s.Pool == nil {
		e.detail("Its NodePool " + claim.Spec.NodePool + " is gone: it is removed for none of its reasons.")
		return
	}
	if c := meta.FindStatusCondition(s.Pool.Status.Conditions, v1alpha1.ConditionDisruptionPaused); c != nil && c.Status == metav1.ConditionTrue {
		e.keep("NodePool " + s.Pool.Name + " is " + c.Type + ": " + c.Message)
	}
	d := s.Pool.Spec.Disruption
	if n := s.Pool.Spec.Replicas; n != nil {
		e.detail(fmt.Sprintf("NodePool %s keeps %d nodes, whatever pods there are (replicas): none goes for being empty or underused", s.Pool.Name, *n))
	} else if after, never, err := d.EmptyFor(); err == nil && !meta.IsStatusConditionTrue(claim.Status.Conditions, v1alpha1.ConditionEmpty) {
		when := "Empty, it is removed after " + after.String()
		if never {
			when = "Empty, it is not removed (consolidateAfter is Never)"
		}
		if d.ConsolidationPolicy != v1alpha1.ConsolidateWhenEmptyOrUnderutilized {
			when += "; with pods it is not consolidated (consolidationPolicy " + string(d.ConsolidationPolicy) + ")"
		}
		e.detail(when + ".")
	}
	if after, never, err := s.Pool.Spec.Template.Spec.Lifetime(); err == nil && !never {
		e.detail("It expires at " + clock(claim.CreationTimestamp.Add(after)) + " (expireAfter " + after.String() + ").")
	}
}

// podsOn lists the scene's pods that use room on the node.
func (s *Scene) podsOn(node *corev1.Node) []*corev1.Pod {
	var on []*corev1.Pod
	for _, pod := range s.Pods {
		if node != nil && pod.Spec.NodeName == node.Name && !cluster.IsFinished(pod) {
			on = append(on, pod)
		}
	}
	return on
}

// ClaimOfNode finds the claim of the scene's node; nil if there is none.
func (s *Scene) ClaimOfNode() *v1alpha1.NodeClaim {
	for _, claim := range s.Claims {
		if s.Node != nil && claim.Status.ProviderID != "" && claim.Status.ProviderID == s.Node.Spec.ProviderID {
			return claim
		}
	}
	return nil
}
