package fit

import (
	"fmt"
	"slices"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// lister presents the nodes of the current Space to the framework.
type lister struct {
	nodes  []fwk.NodeInfo
	byName map[string]fwk.NodeInfo
	// shown are the nodes that plugins look at one after the other; nil shows all.
	shown []fwk.NodeInfo
	apart []fwk.NodeInfo // while not all are shown: those with pods that have required anti-affinity
}

var (
	_ fwk.SharedLister      = &lister{}
	_ fwk.NodeInfoLister    = &lister{}
	_ fwk.StorageInfoLister = &lister{}
)

func newLister() *lister {
	l := &lister{}
	l.reset()
	return l
}

// reset forgets all nodes.
func (l *lister) reset() {
	l.nodes, l.shown = nil, nil
	l.byName = map[string]fwk.NodeInfo{}
}

func (l *lister) add(n *framework.NodeInfo) {
	l.nodes = append(l.nodes, n)
	l.byName[n.Node().Name] = n
}

// show lists only the given nodes until it is told to restore the others.
func (l *lister) show(nodes []*framework.NodeInfo) (restore func()) {
	had := *l
	l.reset()
	for _, n := range nodes {
		l.add(n)
	}
	return func() { *l = had }
}

// showOnly has plugins look at the given nodes only, until all are shown again. Until then
// no node may change.
func (l *lister) showOnly(nodes []fwk.NodeInfo) {
	if l.shown == nil {
		l.apart, _ = l.HavePodsWithRequiredAntiAffinityList()
	}
	l.shown = nodes
}

func (l *lister) showAll() { l.shown, l.apart = nil, nil }

// remove takes a node back; the latest ones are found first.
func (l *lister) remove(n *framework.NodeInfo) {
	for i, have := range slices.Backward(l.nodes) {
		if have == fwk.NodeInfo(n) {
			l.nodes = append(l.nodes[:i:i], l.nodes[i+1:]...)
			break
		}
	}
	delete(l.byName, n.Node().Name)
}

// NodeInfos implements fwk.SharedLister.
func (l *lister) NodeInfos() fwk.NodeInfoLister { return l }

// StorageInfos implements fwk.SharedLister.
func (l *lister) StorageInfos() fwk.StorageInfoLister { return l }

// PodGroupStates implements fwk.SharedLister; only plugins of alpha features ask for it.
func (l *lister) PodGroupStates() fwk.PodGroupStateLister { return noPodGroups{} }

// List implements fwk.NodeInfoLister.
func (l *lister) List() ([]fwk.NodeInfo, error) {
	if l.shown != nil {
		return l.shown, nil
	}
	return l.nodes, nil
}

// HavePodsWithAffinityList implements fwk.NodeInfoLister.
func (l *lister) HavePodsWithAffinityList() ([]fwk.NodeInfo, error) {
	return l.where(func(n fwk.NodeInfo) bool { return len(n.GetPodsWithAffinity()) > 0 }), nil
}

// HavePodsWithRequiredAntiAffinityList implements fwk.NodeInfoLister.
func (l *lister) HavePodsWithRequiredAntiAffinityList() ([]fwk.NodeInfo, error) {
	if l.shown != nil {
		return l.apart, nil
	}
	return l.where(func(n fwk.NodeInfo) bool { return len(n.GetPodsWithRequiredAntiAffinity()) > 0 }), nil
}

func (l *lister) where(keep func(fwk.NodeInfo) bool) []fwk.NodeInfo {
	var kept []fwk.NodeInfo
	for _, n := range l.nodes {
		if keep(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

// Get implements fwk.NodeInfoLister.
func (l *lister) Get(name string) (fwk.NodeInfo, error) {
	if n, ok := l.byName[name]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("no node %q in this simulation", name)
}

// IsPVCUsedByPods implements fwk.StorageInfoLister.
func (l *lister) IsPVCUsedByPods(key string) bool {
	return slices.ContainsFunc(l.nodes, func(n fwk.NodeInfo) bool { return n.GetPVCRefCounts()[key] > 0 })
}

type noPodGroups struct{}

// Get implements fwk.PodGroupStateLister.
func (noPodGroups) Get(namespace, name string) (fwk.PodGroupState, error) {
	return nil, fmt.Errorf("pod group %s/%s: pod groups are not simulated", namespace, name)
}
