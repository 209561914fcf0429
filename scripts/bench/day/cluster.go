package day

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// What the cluster is like.
const (
	step = 5 * time.Second
	boot = 45 * time.Second // from CreateFleet to a node that is ready
	ttl  = 30 * time.Second // consolidateAfter
	// notice is how long before it ends an instance EC2 says so.
	notice = 2 * time.Minute
	// interrupted is how many of the spot nodes EC2 takes back in a day.
	interrupted = 0.05

	alternatives = 60
	improve      = 200 * time.Millisecond
)

// pod is a pod from its creation to its end.
type pod struct {
	*corev1.Pod
	owner    *workload
	revision int
	created  time.Duration
	ends     time.Duration // of a Job's pod that runs; 0 for never
	on       *node         // where it runs, or what is reserved for it; nil while it waits for a plan
	bound    bool
}

// node is a node from its launch to its end.
type node struct {
	*corev1.Node
	launched, ready time.Duration
	joined          bool
	// info has the pods on the node, those that it is reserved for, and those that will
	// follow others there.
	info       *framework.NodeInfo
	pods       []*pod // bound or reserved
	emptySince time.Duration
	changed    time.Duration // when the last pod came or went
	ends       time.Duration // when EC2 takes it back; 0 for never
	leaving    *departure    // nil while it stays
}

// departure is a node's way out: its pods' successors have places, and when those are
// ready the pods move.
type departure struct {
	because string
	places  map[types.UID]*node // by the pods that are followed
}

// cluster is the simulated world.
type cluster struct {
	ctx    context.Context //nolint:containedctx // of one run
	r      *rand.Rand
	judge  *judge
	market *market
	load   *load
	bill   *bill

	now     time.Duration
	nodes   []*node // oldest first
	waiting []*pod
	serial  int
}

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}
}

// advance is one step of time.
func (c *cluster) advance() error {
	for _, do := range []func() error{c.boot, c.endJobs, c.createAndDelete, c.interrupt, c.schedule, c.depart, c.reap} {
		if err := do(); err != nil {
			return fmt.Errorf("at %s: %w", c.now, err)
		}
	}
	return nil
}

// boot has nodes join, and binds what is reserved for them.
func (c *cluster) boot() error {
	for _, n := range c.nodes {
		if n.joined || n.ready > c.now {
			continue
		}
		n.joined, n.emptySince = true, c.now
		c.judge.join(n.Node)
		for _, p := range n.pods {
			if err := c.bind(p, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// bind has a pod run on a node that holds it already.
func (c *cluster) bind(p *pod, n *node) error {
	p.Spec.NodeName = n.Name
	p.bound = true
	if p.owner.runs > 0 {
		p.ends = c.now + p.owner.runs
	}
	c.bill.waits = append(c.bill.waits, c.now-p.created)
	return c.judge.bind(p.Pod)
}

// hold gives a pod a place on a node.
func (n *node) hold(p *pod) {
	p.on = n
	n.pods = append(n.pods, p)
	n.changed = p.created
}

// end removes a pod.
func (c *cluster) end(p *pod) error {
	p.owner.pods = slices.DeleteFunc(p.owner.pods, func(o *pod) bool { return o == p })
	return c.release(p)
}

// release takes a pod off its node, or out of the line.
func (c *cluster) release(p *pod) error {
	n := p.on
	if n == nil {
		c.waiting = slices.DeleteFunc(c.waiting, func(o *pod) bool { return o == p })
		return nil
	}
	n.pods = slices.DeleteFunc(n.pods, func(o *pod) bool { return o == p })
	n.changed = c.now
	if len(n.pods) == 0 {
		n.emptySince = c.now
	}
	if n.leaving != nil {
		if target := n.leaving.places[p.UID]; target != nil {
			delete(n.leaving.places, p.UID)
			if err := target.forget(p); err != nil {
				return err
			}
		}
	}
	p.on = nil
	if p.bound {
		if err := c.judge.end(p.Pod); err != nil {
			return err
		}
	}
	return n.remove(p.UID)
}

// followed is the UID of a pod that will come when another has gone.
func followed(uid types.UID) types.UID { return uid + "/successor" }

// forget frees the place that a pod's successor would have had.
func (n *node) forget(p *pod) error { return n.remove(followed(p.UID)) }

func (n *node) remove(uid types.UID) error {
	for _, pi := range n.info.Pods {
		if pi.GetPod().UID == uid {
			return n.info.RemovePod(logr.Discard(), pi.GetPod())
		}
	}
	return fmt.Errorf("node %s has no pod %s", n.Name, uid)
}

// endJobs ends pods that have run for long enough.
func (c *cluster) endJobs() error {
	for _, n := range c.nodes {
		for _, p := range slices.Clone(n.pods) {
			if p.ends > 0 && p.ends <= c.now {
				if err := c.end(p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// createAndDelete is what controllers do.
func (c *cluster) createAndDelete() error {
	for len(c.load.jobs) > 0 && c.load.jobs[0].starts <= c.now {
		for range c.load.jobs[0].replicas {
			c.waiting = append(c.waiting, c.load.jobs[0].create(c.now))
		}
		c.load.jobs = c.load.jobs[1:]
	}
	for _, w := range c.load.deployments {
		if w.rollout > 0 && w.rollout <= c.now {
			w.revision, w.rollout = w.revision+1, 0
		}
		if err := c.reconcile(w); err != nil {
			return err
		}
	}
	return nil
}

// reconcile brings a Deployment's pods in line, a quarter more and a quarter less than it
// wants at most while its pods are replaced.
func (c *cluster) reconcile(w *workload) error {
	want := w.wanted(c.now)
	var old, current []*pod
	available := 0
	for _, p := range w.pods {
		if p.bound {
			available++
		}
		if p.revision < w.revision {
			old = append(old, p)
		} else {
			current = append(current, p)
		}
	}
	most := want
	if len(old) > 0 {
		most += (want + 3) / 4
	}
	for n := len(current); n < want && n+len(old) < most; n++ {
		c.waiting = append(c.waiting, w.create(c.now))
	}
	surplus := current[:max(0, len(current)-want)]
	if len(surplus) > 0 {
		surplus = leastWanted(current)[:len(current)-want]
	}
	for _, p := range old {
		if p.bound && available-1 < want-want/4 {
			break
		}
		if p.bound {
			available--
		}
		surplus = append(slices.Clip(surplus), p)
	}
	for _, p := range surplus {
		if err := c.end(p); err != nil {
			return err
		}
	}
	return nil
}

// leastWanted orders pods as a ReplicaSet ends them: those that do not run first, then those
// with the most of their like on their node, then the newest.
func leastWanted(pods []*pod) []*pod {
	alike := map[*node]int{}
	for _, p := range pods {
		alike[p.on]++
	}
	running := func(p *pod) int {
		if p.bound {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(pods), func(a, b *pod) int {
		return cmp.Or(cmp.Compare(running(a), running(b)), cmp.Compare(alike[b.on], alike[a.on]), cmp.Compare(b.created, a.created))
	})
}

// interrupt has EC2 take spot nodes back.
func (c *cluster) interrupt() error {
	perStep := interrupted * step.Hours() / 24
	for _, n := range c.nodes {
		if n.joined && n.ends == 0 && n.Labels[v1alpha1.LabelCapacityType] == v1alpha1.CapacityTypeSpot && c.r.Float64() < perStep {
			n.ends = c.now + notice
			if err := c.replaceInterrupted(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// schedule places what waits: where the scheduler says, else on nodes that boot or are bought.
func (c *cluster) schedule() error {
	var nowhere []*pod
	for _, p := range c.waiting {
		name, err := c.judge.place(c.ctx, p.Pod)
		if err != nil {
			return err
		}
		if name == "" {
			nowhere = append(nowhere, p)
			continue
		}
		n := c.node(name)
		n.hold(p)
		n.info.AddPod(p.Pod)
		if err := c.bind(p, n); err != nil {
			return err
		}
	}
	c.waiting = nil
	if len(nowhere) == 0 {
		return nil
	}
	pods, by := make([]*corev1.Pod, len(nowhere)), map[types.UID]*pod{}
	for i, p := range nowhere {
		pods[i], by[p.UID] = p.Pod, p
	}
	plan, err := c.plan(pods, false, func(n *node) bool { return !n.joined })
	if err != nil {
		return err
	}
	return c.carryOut(plan, func(uid types.UID, n *node) {
		n.hold(by[uid])
		delete(by, uid)
	}, func(uid types.UID) { c.waiting = append(c.waiting, by[uid]) })
}

// plan finds room for pods on open nodes that stay, else, unless it is frugal, on new ones.
func (c *cluster) plan(pods []*corev1.Pod, frugal bool, open func(*node) bool) (*fit.Plan, error) {
	in := fit.Input{Pods: pods, Open: sets.New[string](), Templates: c.market.templates, Frugal: frugal, Alternatives: alternatives, Improve: improve}
	for _, n := range c.nodes {
		info := n.info
		if n.leaving == nil && open(n) {
			in.Open.Insert(n.Name)
			info = info.SnapshotConcrete() // which grows by what is placed there
		}
		in.Nodes = append(in.Nodes, info)
	}
	return c.judge.engine.Plan(c.ctx, in)
}

// carryOut buys what a plan says, and tells where its pods have places.
func (c *cluster) carryOut(plan *fit.Plan, placed func(types.UID, *node), unplaced func(types.UID)) error {
	for _, r := range plan.Reused {
		n := c.node(r.Node)
		for _, p := range r.Pods {
			n.info.AddPod(p)
			placed(p.UID, n)
		}
	}
	for _, planned := range plan.Nodes {
		n := c.launch(planned)
		for _, p := range planned.Pods {
			placed(p.UID, n)
		}
	}
	for _, u := range plan.Unplaced {
		c.bill.unplaced++
		unplaced(u.Pod.UID)
	}
	return nil
}

// launch buys a node.
func (c *cluster) launch(planned fit.Planned) *node {
	offer := &c.market.offers[planned.Templates[0]]
	c.serial++
	n := &node{Node: offer.Node.DeepCopy(), launched: c.now, ready: c.now + boot, info: framework.NewNodeInfo()}
	n.Name = "node-" + strconv.Itoa(c.serial)
	n.UID = types.UID(n.Name)
	n.Labels[corev1.LabelHostname] = n.Name
	n.info.SetNode(n.Node)
	for _, p := range planned.Pods {
		n.info.AddPod(p)
	}
	c.nodes = append(c.nodes, n)
	c.bill.launches++
	return n
}

func (c *cluster) node(name string) *node {
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.Name == name })
	return c.nodes[i]
}
