package fit

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// findReadLabels collects the keys of pod labels that any hard constraint reads: of the
// waiting pods, of the DaemonSets' and of the cluster's. All others, such as those
// that a Job gives its pods to tell them from another's, make no difference between pods.
func (s *Space) findReadLabels() {
	s.readLabels = sets.New[string]()
	for _, pod := range s.input.Pods {
		s.readBy(&pod.Spec)
	}
	for _, d := range s.input.DaemonSets {
		s.readBy(&d.Spec.Template.Spec)
	}
	for _, n := range s.input.Nodes {
		for _, p := range n.PodsWithRequiredAntiAffinity {
			s.readByTerms(p.GetRequiredAntiAffinityTerms())
		}
	}
}

func (s *Space) readBy(spec *corev1.PodSpec) {
	for _, c := range spec.TopologySpreadConstraints {
		s.readLabels.Insert(c.MatchLabelKeys...)
		s.readBySelector(c.LabelSelector)
	}
	for _, terms := range [][]corev1.PodAffinityTerm{fwk.GetPodAffinityTerms(spec.Affinity), fwk.GetPodAntiAffinityTerms(spec.Affinity)} {
		for _, t := range terms {
			s.readLabels.Insert(t.MatchLabelKeys...)
			s.readLabels.Insert(t.MismatchLabelKeys...)
			s.readBySelector(t.LabelSelector)
		}
	}
}

func (s *Space) readBySelector(selector *metav1.LabelSelector) {
	if selector == nil {
		return
	}
	for key := range selector.MatchLabels {
		s.readLabels.Insert(key)
	}
	for _, e := range selector.MatchExpressions {
		s.readLabels.Insert(e.Key)
	}
}

func (s *Space) readByTerms(terms []fwk.AffinityTerm) {
	for _, t := range terms {
		requirements, _ := t.Selector.Requirements()
		for _, r := range requirements {
			s.readLabels.Insert(r.Key())
		}
	}
}

// reads tells whether a pod's label is read.
func (s *Space) reads(key string) bool {
	return s.claims.byOwner || s.readLabels.Has(key) // Services and the like select by any label (default spread constraints)
}
