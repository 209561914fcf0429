package day

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// disruptedTaint keeps new pods off a node that is on its way out.
var disruptedTaint = corev1.Taint{Key: "slipway.dev/disrupted", Effect: corev1.TaintEffectNoSchedule}

// follow makes the pods that will follow those on a node.
func (n *node) follow() (next []*corev1.Pod) {
	for _, p := range n.pods {
		f := p.DeepCopy()
		f.UID, f.Name, f.Spec.NodeName = followed(p.UID), p.Name+"-successor", ""
		next = append(next, f)
	}
	return next
}

// send has nodes go, together: they take no more pods, and those that follow their pods have
// the places of the plan.
func (c *cluster) send(nodes []*node, because string, plan *fit.Plan) error {
	from := map[types.UID]*departure{}
	for _, n := range nodes {
		n.leaving = &departure{because: because, places: map[types.UID]*node{}}
		tainted := n.DeepCopy()
		tainted.Spec.Taints = append(tainted.Spec.Taints, disruptedTaint)
		c.judge.update(n.Node, tainted)
		n.Node = tainted
		n.info.SetNode(tainted)
		for _, p := range n.pods {
			from[p.UID] = n.leaving
		}
	}
	return c.carryOut(plan, func(uid types.UID, n *node) {
		of := uid[:len(uid)-len(followed(""))]
		from[of].places[of] = n
	}, func(types.UID) {})
}

// replaceInterrupted has a node go that EC2 takes back.
func (c *cluster) replaceInterrupted(n *node) error {
	if n.leaving != nil { // it is going already
		return nil
	}
	plan, err := c.plan(n.follow(), false, func(other *node) bool { return other != n })
	if err != nil {
		return err
	}
	return c.send([]*node{n}, takenBack, plan)
}

// depart moves the pods of nodes whose successors' places are ready, or whose time is up.
func (c *cluster) depart() error {
	for _, n := range slices.Clone(c.nodes) {
		if n.leaving == nil {
			continue
		}
		up := n.ends > 0 && n.ends <= c.now
		if !up && slices.ContainsFunc(n.pods, func(p *pod) bool {
			target := n.leaving.places[p.UID]
			return target == nil || !target.joined
		}) {
			continue
		}
		for _, p := range slices.Clone(n.pods) {
			if err := c.move(p, n.leaving); err != nil {
				return err
			}
		}
		if err := c.terminate(n); err != nil {
			return err
		}
	}
	return nil
}

// move ends a pod; the one that its owner makes instead has a place already, if that is
// ready, or is scheduled like any other.
func (c *cluster) move(p *pod, d *departure) error {
	target := d.places[p.UID]
	if err := c.end(p); err != nil { // which frees its successor's place
		return err
	}
	c.bill.disrupted[d.because]++
	next := p.owner.create(c.now)
	next.revision = p.revision
	if target == nil || !target.joined || target.leaving != nil {
		c.waiting = append(c.waiting, next)
		return nil
	}
	name, err := c.judge.placeOn(c.ctx, next.Pod, target.Name)
	if err != nil {
		return err
	}
	if name == "" { // somebody else took the room
		c.waiting = append(c.waiting, next)
		return nil
	}
	target.hold(next)
	target.info.AddPod(next.Pod)
	return c.bind(next, target)
}

// reap terminates nodes that have been empty for the TTL.
func (c *cluster) reap() error {
	for _, n := range slices.Clone(c.nodes) {
		if n.joined && n.leaving == nil && len(n.info.Pods) == 0 && c.now-n.emptySince >= ttl {
			if err := c.terminate(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cluster) terminate(n *node) error {
	c.nodes = slices.DeleteFunc(c.nodes, func(o *node) bool { return o == n })
	return c.judge.leave(n.Node)
}
