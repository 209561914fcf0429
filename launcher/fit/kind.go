package fit

import (
	"math"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// kind is a set of templates of one pool that differ only in size, price and labels
// that nobody asks for.
type kind struct {
	pool     string
	info     *framework.NodeInfo // an empty node of the kind, with its DaemonSet pods
	overhead corev1.ResourceList // of the DaemonSet pods
	domains  []int               // by topology: the value's index, -1 without the label
	daemons  []int               // the classes of the DaemonSet pods
	tallies  map[int]tally       // of rules about hosts that match DaemonSet pods
	cost     int                 // of a CPU of its cheapest template, in steps of two percent
}

// sortIntoKinds groups the templates.
func (s *Space) sortIntoKinds() error {
	var err error
	if s.asked, err = s.askedKeys(); err != nil {
		return err
	}
	byKey := map[string]int{}
	log := klog.FromContext(s.ctx)
	var d digest
	for t := range s.input.Templates {
		tmpl := &s.input.Templates[t]
		d.raw = d.raw[:0]
		d.str(tmpl.Pool)
		for _, key := range s.asked {
			if value, ok := tmpl.Node.Labels[key]; ok {
				d.str(value)
			} else {
				d.num(-1)
			}
		}
		k, ok := byKey[string(d.raw)]
		if !ok {
			k = len(s.kinds)
			byKey[string(d.raw)] = k
			s.kinds = append(s.kinds, newKind(log, tmpl, s.input.Features[tmpl.Pool], s.input.DaemonSets))
		}
		s.kindOf = append(s.kindOf, k)
	}
	return nil
}

func newKind(log klog.Logger, t *Template, features []string, daemons []*appsv1.DaemonSet) *kind {
	node := t.Node.DeepCopy()
	node.Name = "template"
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	node.Labels[corev1.LabelHostname] = node.Name
	node.Status.DeclaredFeatures = features
	k := &kind{pool: t.Pool, info: framework.NewNodeInfo(), overhead: corev1.ResourceList{}}
	k.info.SetNode(node)
	for _, pod := range daemonPods(log, node, daemons) {
		k.info.AddPod(pod)
		addTo(k.overhead, requests(pod))
	}
	return k
}

// tally is the state of a rule about hosts on an empty node.
func (k *kind) tally(rule int) tally {
	if have, ok := k.tallies[rule]; ok {
		return have
	}
	return tally{bound: math.MaxInt32}
}

// askedKeys lists the node labels that anything the plugins read may ask for.
func (s *Space) askedKeys() ([]string, error) {
	keys := sets.New(corev1.LabelTopologyZone, corev1.LabelTopologyRegion)
	asked, err := s.engine.askedKeys()
	if err != nil {
		return nil, err
	}
	keys.Insert(asked...)
	for _, c := range s.classes {
		keys.Insert(podKeys(&c.sample.Spec)...)
	}
	for _, n := range s.input.Nodes {
		for _, p := range n.PodsWithRequiredAntiAffinity {
			keys.Insert(termKeys(p.GetRequiredAntiAffinityTerms())...)
		}
	}
	for _, d := range s.input.DaemonSets {
		keys.Insert(podKeys(&d.Spec.Template.Spec)...)
	}
	return sets.List(keys), nil
}

// podKeys lists the node labels that a pod's hard constraints name.
func podKeys(spec *corev1.PodSpec) []string {
	var keys []string
	for key := range spec.NodeSelector {
		keys = append(keys, key)
	}
	for _, c := range spec.TopologySpreadConstraints {
		keys = append(keys, c.TopologyKey)
	}
	a := spec.Affinity
	if a == nil {
		return keys
	}
	if a.NodeAffinity != nil {
		keys = append(keys, selectorKeys(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)...)
	}
	if a.PodAffinity != nil {
		for _, t := range a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			keys = append(keys, t.TopologyKey)
		}
	}
	if a.PodAntiAffinity != nil {
		for _, t := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			keys = append(keys, t.TopologyKey)
		}
	}
	return keys
}

func selectorKeys(s *corev1.NodeSelector) []string {
	var keys []string
	if s != nil {
		for _, term := range s.NodeSelectorTerms {
			for _, e := range term.MatchExpressions {
				keys = append(keys, e.Key)
			}
		}
	}
	return keys
}

func termKeys(terms []fwk.AffinityTerm) []string {
	var keys []string
	for _, t := range terms {
		keys = append(keys, t.TopologyKey)
	}
	return keys
}
