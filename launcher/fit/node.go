package fit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"

	"github.com/slipway-dev/slipway/launcher/pack"
)

// statefulPlugins judge a node by the pods on other nodes too.
var statefulPlugins = sets.New(names.PodTopologySpread, names.InterPodAffinity, names.VolumeRestrictions)

// node is a simulated node to buy; it implements pack.Node.
type node struct {
	space    *Space
	template int
	info     *framework.NodeInfo
	pods     []*corev1.Pod
	shapes   []int // of the pods, one entry a pod
}

// Open implements pack.Constraints.
func (s *Space) Open(t int) pack.Node {
	if s.input.Budget != nil {
		if err := s.input.Budget.Take(t); err != nil {
			for _, sh := range s.shapes {
				sh.refusal = err.Error()
			}
			return nil
		}
	}
	s.opened++
	info := s.templates[t].info.SnapshotConcrete()
	object := info.Node().DeepCopy()
	object.Name = fmt.Sprintf("planned-%d", s.opened)
	if object.Labels == nil {
		object.Labels = map[string]string{}
	}
	object.Labels[corev1.LabelHostname] = object.Name
	info.SetNode(object)
	s.engine.lister.add(info)
	return &node{space: s, template: t, info: info}
}

// Add implements pack.Node: the real Filter plugins decide on every pod.
func (n *node) Add(i, count int) int {
	s, sh := n.space, n.space.shapes[i]
	for taken := range count {
		if sh.state == nil {
			s.prefilter(sh)
		}
		if sh.rejected != "" || len(sh.waiting) == 0 {
			return taken
		}
		pod := sh.waiting[0]
		status := s.engine.framework.RunFilterPlugins(s.ctx, sh.state, pod, n.info)
		if !status.IsSuccess() {
			sh.refusal = status.Message()
			return taken
		}
		sh.waiting = sh.waiting[1:]
		n.pods, n.shapes = append(n.pods, pod), append(n.shapes, i)
		n.info.AddPod(pod)
		s.changed(pod)
	}
	return count
}

// Discard implements pack.Node.
func (n *node) Discard() {
	s := n.space
	s.engine.lister.remove(n.info)
	if s.input.Budget != nil {
		s.input.Budget.Give(n.template)
	}
	for i, pod := range slices.Backward(n.pods) {
		sh := s.shapes[n.shapes[i]]
		sh.waiting = append([]*corev1.Pod{pod}, sh.waiting...)
		s.changed(pod)
	}
}

// Holds implements pack.Node. The pods fit the other template one by one; together they
// do because the caller has summed up their requests, and the plugins that look at other
// nodes see no difference between two templates with equal topology labels.
func (n *node) Holds(t int) bool {
	s := n.space
	if s.templates[t].Pool != s.templates[n.template].Pool {
		return false
	}
	for _, i := range n.shapes {
		sh := s.shapes[i]
		if !sh.fits[t] || (sh.stateful && !s.sameTopology(t, n.template)) {
			return false
		}
	}
	return true
}

func (s *Space) sameTopology(a, b int) bool {
	for _, key := range s.topology {
		if s.templates[a].Node.Labels[key] != s.templates[b].Node.Labels[key] {
			return false
		}
	}
	return true
}

// changed makes PreFilter run again where a pod's coming or going may matter.
func (s *Space) changed(pod *corev1.Pod) {
	anti := pod.Spec.Affinity != nil && pod.Spec.Affinity.PodAntiAffinity != nil
	for _, sh := range s.shapes {
		if anti || sh.stateful {
			sh.state = nil
		}
	}
}

// prefilter runs PreFilter for a shape against the nodes as they are now.
func (s *Space) prefilter(sh *shape) {
	phantoms := s.phantoms(sh)
	for _, p := range phantoms {
		s.engine.lister.add(p)
	}
	defer func() {
		for _, p := range phantoms {
			s.engine.lister.remove(p)
		}
	}()
	sh.state, sh.rejected = framework.NewCycleState(), ""
	result, status, _ := s.engine.framework.RunPreFilterPlugins(s.ctx, sh.state, sh.sample)
	switch {
	case !status.IsSuccess():
		sh.rejected = status.Message()
	case result != nil && !result.AllNodes():
		sh.rejected = "the pod may only run on nodes that it names"
	}
	sh.stateful = len(statefulPlugins.Difference(sh.state.GetSkipFilterPlugins())) > 0
}

// phantoms stand for the domains a spread could reach by buying there: without them a
// zone that has no node yet does not exist to PodTopologySpread, and all pods would go to
// the first one. They carry no hostname, so they count for no constraint by host.
func (s *Space) phantoms(sh *shape) []*framework.NodeInfo {
	if len(sh.sample.Spec.TopologySpreadConstraints) == 0 || sh.fits == nil {
		return nil
	}
	var phantoms []*framework.NodeInfo
	seen := sets.New[string]()
	for t, tmpl := range s.templates {
		zone := tmpl.Node.Labels[corev1.LabelTopologyZone]
		if !sh.fits[t] || seen.Has(zone) {
			continue
		}
		seen.Insert(zone)
		object := tmpl.info.Node().DeepCopy()
		object.Name = "phantom-" + zone
		delete(object.Labels, corev1.LabelHostname)
		info := framework.NewNodeInfo()
		info.SetNode(object)
		phantoms = append(phantoms, info)
	}
	return phantoms
}
