package explain

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/table"
)

// Events with which the scheduler tells a pod what becomes of it (package plugin).
const (
	eventReserved     = "Reserved"
	eventDelayed      = "LaunchDelayed"
	eventUnlaunchable = "Unlaunchable"
)

// Pod explains a pod. Where Undecided says so of the answer, a plan says more.
func Pod(s *Scene, pod *corev1.Pod) *Explanation {
	e := s.explanation("pod", pod.Namespace, pod.Name)
	claim := s.claimOf(pod)
	switch {
	case cluster.IsFinished(pod):
		e.say(StateEnded, "has ended: "+string(pod.Status.Phase))
	case pod.Spec.NodeName != "":
		s.bound(e, pod)
	case pod.DeletionTimestamp != nil:
		e.say(StateDeleted, "is being deleted, and has no node")
	case len(pod.Spec.SchedulingGates) > 0:
		var gates []string
		for _, g := range pod.Spec.SchedulingGates {
			gates = append(gates, g.Name)
		}
		e.say(StateGated, "waits for its scheduling gates to be removed: "+strings.Join(gates, ", "))
		e.detail("No scheduler looks at it until then, and no node is launched for it.")
	case claim != nil:
		s.reserved(e, pod, claim)
	case cluster.IsDaemonPod(pod):
		e.say(StateForNode, "is a DaemonSet's pod, for a node of its own: no node is launched for it"+after(": ", scheduling(pod)))
	case !slices.Contains(s.Schedulers, pod.Spec.SchedulerName) && e.told() == nil:
		e.say(StateElsewhere, fmt.Sprintf("waits for scheduler %s, which is none of Slipway's (%s)%s",
			pod.Spec.SchedulerName, strings.Join(s.Schedulers, ", "), after(": ", scheduling(pod))))
		e.advise("To have nodes launched for pods like it, set spec.schedulerName in their template. If %s is a profile of Slipway's scheduler, name its configuration with --scheduler-config.", pod.Spec.SchedulerName)
	default:
		s.unscheduled(e, pod)
	}
	return e
}

// claimOf finds the claim that holds a place for the pod.
func (s *Scene) claimOf(pod *corev1.Pod) *v1alpha1.NodeClaim {
	for _, claim := range s.Claims {
		if claim.DeletionTimestamp == nil && holds(claim, pod.UID) {
			return claim
		}
	}
	return nil
}

func holds(claim *v1alpha1.NodeClaim, pod types.UID) bool {
	return slices.ContainsFunc(claim.HeldPods(), func(p v1alpha1.ReservedPod) bool { return p.UID == pod })
}

// scheduling is what the scheduler says of the pod: the message of its condition PodScheduled.
func scheduling(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// bound explains a pod that has its node.
func (s *Scene) bound(e *Explanation, pod *corev1.Pod) {
	verb := "runs on"
	switch {
	case pod.DeletionTimestamp != nil:
		verb = "is being deleted, and ends on"
	case pod.Status.Phase != corev1.PodRunning:
		verb = "is bound to"
	}
	e.say(StateBound, verb+" node "+pod.Spec.NodeName)
	if pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil {
		e.detail("Its containers are yet to start: that is the node's kubelet's to do, and no node is launched for it.")
	}
	claim := s.ClaimOfNode()
	if claim != nil && holds(claim, pod.UID) {
		e.detail("The node was launched for it, by NodeClaim " + claim.Name + ".")
	}
	if s.Node == nil {
		e.detail("The node is not in the cluster any more.")
		return
	}
	e.setNode(nodes.Of(s.Node, claim, s.podsOn(s.Node), s.Now))
	if e.Node.State != nodes.StateReady && e.Node.State != nodes.StateProtected {
		e.detail("Its node is " + e.Node.State + after(": ", brief(e.Node.Message)))
	}
	if p := cluster.ProtectionOfPod(pod, s.Now); p.By != "" {
		e.keep("It keeps its node from being disrupted: " + p.String())
	}
	e.keep(s.budgetsOf(pod)...)
}

// reserved explains a pod that has a place on a node to be.
func (s *Scene) reserved(e *Explanation, pod *corev1.Pod, claim *v1alpha1.NodeClaim) {
	n := nodes.Of(s.Node, claim, s.podsOn(s.Node), s.Now)
	e.setNode(n)
	e.setConditions(claim)
	e.say(StateReserved, "waits for a node that is launched for it: "+s.way(claim, &n))
	if n.State == nodes.StateBooting || n.State == nodes.StateJoining {
		e.detail(after("It is ", e.promise(claim)))
	}
	e.detail(fmt.Sprintf("The pod has waited for %s; its place is one of %d on NodeClaim %s.", e.ago(pod.CreationTimestamp.Time), len(claim.HeldPods()), claim.Name))
	if words := scheduling(pod); words != "" && !strings.HasSuffix(words, "(claim "+claim.Name+")") {
		e.detail("The scheduler says: " + words)
	}
	if claim.Status.InstanceType == "" {
		e.detail(offerings(claim))
	}
}

// way says how far the claim of a node to be is.
func (s *Scene) way(claim *v1alpha1.NodeClaim, n *nodes.Node) string {
	switch n.State {
	case nodes.StatePlanned:
		if n.Message != "" {
			return "it is planned, but not bought yet: " + n.Message
		}
		return "it is planned and about to be bought from EC2"
	case nodes.StateBooting:
		return fmt.Sprintf("node %s is bought, and booting%s%s", n.Name, s.since(claim, v1alpha1.ConditionLaunched), after(": ", n.Message))
	case nodes.StateJoining:
		return fmt.Sprintf("node %s has been in the cluster%s and is not ready for pods yet%s", n.Name, s.since(claim, v1alpha1.ConditionRegistered), after(": ", n.Message))
	case nodes.StateReady, nodes.StateProtected:
		return fmt.Sprintf("node %s has been ready%s, and takes it next", n.Name, s.since(claim, v1alpha1.ConditionInitialized))
	default:
		return fmt.Sprintf("node %s is %s%s", n.Name, n.State, after(": ", n.Message))
	}
}

// offerings says what may be bought for a claim.
func offerings(claim *v1alpha1.NodeClaim) string {
	accepted := claim.Spec.Accepted()
	if len(accepted) == 0 {
		return ""
	}
	types := map[string]bool{}
	for _, o := range accepted {
		types[o.InstanceType] = true
	}
	first := accepted[0]
	return fmt.Sprintf("EC2 may choose among %s of %s, first of them %s in %s, %s, $%.4f per hour.", table.Count(len(accepted), "offering"),
		table.Count(len(types), "instance type"), first.InstanceType, first.Zone, first.CapacityType, first.Price.AsApproximateFloat64())
}

// unscheduled explains a pod without a node, and without a place on one to be.
func (s *Scene) unscheduled(e *Explanation, pod *corev1.Pod) {
	words, said := scheduling(pod), e.told()
	switch {
	case words == "":
		e.say(StateUnseen, "waits, and no scheduler has looked at it for the "+e.ago(pod.CreationTimestamp.Time)+" that it exists")
		e.advise("Unless it was created just now: does the scheduler %s run?", pod.Spec.SchedulerName)
	case said != nil && said.Reason == eventUnlaunchable:
		e.say(StateNoPlace, "waits: "+words)
	case said != nil && said.Reason == eventDelayed:
		e.say(StateDelayed, "waits: "+words)
	default:
		e.say(StateUnscheduled, "waits: "+words)
	}
	for _, claim := range s.Claims {
		if claim.DeletionTimestamp != nil && holds(claim, pod.UID) {
			e.detail("It had a place on NodeClaim " + claim.Name + ", which is being removed; it is planned for anew.")
		}
	}
	if node := pod.Status.NominatedNodeName; node != "" {
		e.detail("It is nominated to node " + node + ": once those that it preempts there have left, it takes their room.")
	}
	if group := cluster.GroupOf(pod); group != "" {
		e.detail("It is one of " + group + ", whose pods start together or not at all.")
	}
	if words != "" {
		e.detail("The pod has waited for " + e.ago(pod.CreationTimestamp.Time))
	}
}

// Undecided tells whether a plan for the pod alone would say more.
func (e *Explanation) Undecided() bool {
	return slices.Contains([]string{StateUnseen, StateDelayed, StateNoPlace, StateUnscheduled}, e.State)
}

// AddPlan adds a plan that was made for the pod alone; prices says where they come from.
func (e *Explanation) AddPlan(plan *report.Result, prices string) {
	e.Plan, e.PlanPrices = plan, prices
	switch {
	case len(plan.Unplaced) > 0:
		e.State = StateNoPlace
		e.advise("Change what it asks for, or the NodePools; the plan says for each what is in the way.")
	case len(plan.Existing) > 0 && e.State != StateUnseen:
		e.advise("It fits by now: the scheduler tries it again by itself. If it goes on waiting, see the scheduler's log.")
	case len(plan.Nodes) > 0 && e.State != StateUnseen && e.State != StateDelayed:
		e.advise("A node could be launched for it. If none is within seconds: does the launcher run, and does the scheduler reach it (slipway_courier_rpcs_total)?")
	}
}
