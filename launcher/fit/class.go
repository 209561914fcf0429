package fit

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// The plugins by what their Filter looks at besides the pod and the node's labels and taints.
var (
	// byOtherPods judge a node by the pods on it and elsewhere; rules stand for them while packing.
	byOtherPods = sets.New(names.PodTopologySpread, names.InterPodAffinity, names.NodePorts)
	// byRoom judge a node by what its pods leave over; packing counts that.
	byRoom = sets.New(names.NodeResourcesFit, names.NodeVolumeLimits)
	// stateless plugins give every node of a kind the same answer, whatever is placed.
	stateless = sets.New(
		names.NodeName, names.NodeUnschedulable, names.NodeAffinity, names.TaintToleration,
		names.VolumeBinding, names.VolumeZone, names.NodeDeclaredFeatures,
	)
)

// class is a set of pods that differ only in requests and priority.
type class struct {
	sample   *corev1.Pod
	info     *framework.PodInfo
	nsLabels labels.Set
	// state is as PreFilter left it over the nodes of the Input.
	state fwk.CycleState
	// rejected says why PreFilter refuses the class everywhere, or what it awaits.
	rejected string
	awaits   bool
	// named nodes are the only ones that PreFilter allows; nil allows all.
	named sets.Set[string]
	fits  []bool // by kind: what no placement changes
	// exact classes depend on what no rule stands for: only the plugins can tell, pod by pod.
	exact bool
	// daemon classes are DaemonSets, whose pods come with the nodes.
	daemon bool
	constraints
}

// judge finds the kinds of node that a class fits.
func (s *Space) judge(c *class) {
	c.nsLabels = s.engine.namespaceLabels(c.sample.Namespace)
	c.fits = make([]bool, len(s.kinds))
	if gates := c.sample.Spec.SchedulingGates; len(gates) > 0 { // PreEnqueue's, which is not asked here
		c.rejected = "it waits for its scheduling gate " + gates[0].Name
	}
	if c.rejected != "" {
		return
	}
	skipped := c.state.GetSkipFilterPlugins()
	c.exact = len(s.engine.filters.Difference(skipped).Difference(byOtherPods).Difference(byRoom).Difference(stateless)) > 0 || s.claims.anyFickle(c.sample)
	if c.named != nil {
		return // a node to be bought has no name yet
	}
	state := c.state.Clone()
	state.SetSkipFilterPlugins(skipped.Union(byOtherPods).Union(byRoom))
	for k, kind := range s.kinds {
		c.fits[k] = s.engine.framework.RunFilterPlugins(s.ctx, state, c.sample, kind.info).IsSuccess()
	}
}

// prefilter runs PreFilter for a pod against the nodes that the lister has now.
func (s *Space) prefilter(pod *corev1.Pod) (state fwk.CycleState, named sets.Set[string], rejected string) {
	state = framework.NewCycleState()
	result, status, _ := s.engine.framework.RunPreFilterPlugins(s.ctx, state, pod)
	if !status.IsSuccess() {
		return state, nil, status.Message()
	}
	if result != nil && !result.AllNodes() {
		named = result.NodeNames
	}
	return state, named, ""
}
