package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// order is a cache that notes what the ledger knows when it is called.
type order struct {
	cache.Cache
	w *world
}

func (o order) note(call, node string) {
	holders, registering := o.w.plugin.ledger.Holders(node)
	o.w.note("%s %s: registering %v, %d holders", call, node, registering, len(holders))
}

func (o order) AddNode(_ klog.Logger, n *v1.Node) *framework.NodeInfo {
	o.note("add", n.Name)
	return nil
}

func (o order) UpdateNode(_ klog.Logger, _, n *v1.Node) *framework.NodeInfo {
	o.note("update", n.Name)
	return nil
}

func (o order) RemoveNode(_ klog.Logger, n *v1.Node) error {
	o.note("remove", n.Name)
	return nil
}

// joining is a node of the launcher's as it joins, before it is tied to its claim.
func joining(name, cpu string) *v1.Node {
	n := node(name, cpu)
	n.Labels = map[string]string{"slipway.dev/nodepool": "p"}
	return n
}

func tied(n *v1.Node, claim string) *v1.Node {
	n = n.DeepCopy()
	n.OwnerReferences = []metav1.OwnerReference{{APIVersion: "slipway.dev/v1alpha1", Kind: "NodeClaim", Name: claim}}
	return n
}

// TestNodes: the ledger knows of a node before a scheduling cycle can see it, and pods are
// woken only when one can.
func TestNodes(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("a", "1").Obj())
	w.plugin.Apply([]ledger.Update{{Ref: podOf(pod("a", "1").Obj()).PodRef, Phase: ledger.PhasePlanned, Claim: "c"}})
	n := nodes{Cache: order{w: w}, plugin: w.plugin}
	before := joining("n", "1")
	after := tied(before, "c")
	n.AddNode(klog.Background(), before)
	n.UpdateNode(klog.Background(), before, after)
	if err := n.RemoveNode(klog.Background(), after); err != nil {
		t.Error(err)
	}
	w.wantLog(
		"add n: registering true, 0 holders",
		"update n: registering false, 1 holders", "activate a",
		"remove n: registering false, 1 holders", "activate a",
	)
}

// TestRegistering: a node of ours is closed to pods that are not known to hold room there
// until it is tied to its claim, and open again when nobody does.
func TestRegistering(t *testing.T) {
	w := newWorld(t)
	w.exists(pod("a", "1").Obj(), pod("b", "1").Obj())
	a := pod("a", "1").Obj()
	w.nodes(nil, joining("n", "1"))
	w.want("while it joins", w.schedule(a), "Success: "+nowPlanning)
	w.nodes(nil, tied(joining("n", "1"), "c"))
	w.want("when nobody holds it", w.schedule(pod("b", "1").Obj()), "node n")
	w.plugin.Apply([]ledger.Update{launched("a", "c", "n")})
	w.want("when it is another's", w.schedule(pod("b", "1").Obj()), "Success: "+nowPlanning)
}
