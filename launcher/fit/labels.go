package fit

import (
	"maps"

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
	if a := requiredAffinity(spec.Affinity); a != nil {
		var terms []corev1.PodAffinityTerm
		if a.PodAffinity != nil {
			terms = append(terms, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
		}
		if a.PodAntiAffinity != nil {
			terms = append(terms, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
		}
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

// read returns of a pod's labels those that are read.
func (s *Space) read(labels map[string]string) map[string]string {
	if s.claims.byOwner { // Services and the like select by any label (default spread constraints)
		return labels
	}
	unread := 0
	for key := range labels {
		if !s.readLabels.Has(key) {
			unread++
		}
	}
	if unread == 0 {
		return labels
	}
	kept := make(map[string]string, len(labels)-unread)
	maps.Copy(kept, labels)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !s.readLabels.Has(key) })
	return kept
}
