package plugin

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// nodes is the scheduler's cache, with the ledger told of every node on the way: before a
// scheduling cycle can see how the node looks now, so that no cycle takes its room for
// anybody's. Pods are woken when cycles can see it, so that they fit at the first try.
// It must take the place of the cache in the scheduler.
type nodes struct {
	cache.Cache
	plugin *Slipway
}

// AddNode implements cache.Cache.
func (n nodes) AddNode(logger klog.Logger, node *v1.Node) *framework.NodeInfo {
	fx := n.plugin.nodeSeen(node)
	info := n.Cache.AddNode(logger, node)
	n.plugin.act(fx)
	return info
}

// UpdateNode implements cache.Cache.
func (n nodes) UpdateNode(logger klog.Logger, oldNode, newNode *v1.Node) *framework.NodeInfo {
	fx := n.plugin.nodeSeen(newNode)
	info := n.Cache.UpdateNode(logger, oldNode, newNode)
	n.plugin.act(fx)
	return info
}

// RemoveNode implements cache.Cache.
func (n nodes) RemoveNode(logger klog.Logger, node *v1.Node) error {
	err := n.Cache.RemoveNode(logger, node)
	n.plugin.act(n.plugin.nodeDeleted(node.Name))
	return err
}

func (p *Slipway) nodeSeen(node *v1.Node) ledger.Effects {
	return p.ledger.NodeSeen(p.clock.Now(), ledger.NodeOf(node))
}

func (p *Slipway) nodeDeleted(name string) ledger.Effects {
	return p.ledger.NodeDeleted(p.clock.Now(), name)
}
