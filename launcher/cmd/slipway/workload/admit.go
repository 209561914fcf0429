package workload

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
	"k8s.io/utils/ptr"
)

// admit does to pods what the API server does when they are created, as far as it bears on
// where they go: the overhead and scheduling of their RuntimeClass, the requests that the
// LimitRanges of their namespace give, and selectors made of the pods' own labels
// (matchLabelKeys). Pods that a cluster has are left as they are. It notes what it assumed.
func (o *Objects) admit(pods []*corev1.Pod) []string {
	runtimes := map[string]*nodev1.RuntimeClass{}
	for _, c := range o.RuntimeClasses {
		runtimes[c.Name] = c
	}
	limits := map[string][]*corev1.LimitRange{}
	for _, l := range o.LimitRanges {
		limits[l.Namespace] = append(limits[l.Namespace], l)
	}
	notes := map[string]int{}
	for _, pod := range pods {
		if pod.ResourceVersion != "" {
			continue
		}
		if name := ptr.Deref(pod.Spec.RuntimeClassName, ""); runtimes[name] != nil {
			if !runAs(pod, runtimes[name]) {
				notes["selects nodes with RuntimeClass "+name+", which selects others: the API server refuses it"]++
			}
		} else if name != "" {
			notes["asks for RuntimeClass "+name+", which is not among the input: it is taken to have no overhead"]++
		}
		if limits := limits[pod.Namespace]; len(limits) > 0 || matchesLabelKeys(&pod.Spec) {
			if err := create(pod, limits); err != nil {
				notes["is planned for as written: "+err.Error()]++
			}
		}
	}
	var all []string
	for _, note := range slices.Sorted(maps.Keys(notes)) {
		all = append(all, fmt.Sprintf("a pod %s (%d pods)", note, notes[note]))
	}
	return all
}

// runAs gives a pod what its RuntimeClass asks for, and returns whether the pod agrees.
func runAs(pod *corev1.Pod, class *nodev1.RuntimeClass) bool {
	if class.Overhead != nil {
		pod.Spec.Overhead = class.Overhead.PodFixed
	}
	if class.Scheduling == nil {
		return true
	}
	agree := true
	selector := map[string]string{}
	maps.Copy(selector, pod.Spec.NodeSelector)
	for key, value := range class.Scheduling.NodeSelector {
		if own, ok := selector[key]; ok && own != value {
			agree = false
		}
		selector[key] = value
	}
	pod.Spec.NodeSelector = selector
	pod.Spec.Tolerations = slices.Concat(pod.Spec.Tolerations, class.Scheduling.Tolerations)
	return agree
}

// matchesLabelKeys tells whether creation makes required selectors of the pod's own labels.
func matchesLabelKeys(spec *corev1.PodSpec) bool {
	has := func(t corev1.PodAffinityTerm) bool { return len(t.MatchLabelKeys)+len(t.MismatchLabelKeys) > 0 }
	affinity := ptr.Deref(spec.Affinity, corev1.Affinity{})
	near := ptr.Deref(affinity.PodAffinity, corev1.PodAffinity{}).RequiredDuringSchedulingIgnoredDuringExecution
	apart := ptr.Deref(affinity.PodAntiAffinity, corev1.PodAntiAffinity{}).RequiredDuringSchedulingIgnoredDuringExecution
	return slices.ContainsFunc(near, has) || slices.ContainsFunc(apart, has) ||
		slices.ContainsFunc(spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool { return len(c.MatchLabelKeys) > 0 })
}

// create runs the API server's own code on the pod's spec.
func create(pod *corev1.Pod, limits []*corev1.LimitRange) error {
	var internal core.Pod
	if err := corev1conversion.Convert_v1_Pod_To_core_Pod(pod.DeepCopy(), &internal, nil); err != nil {
		return err
	}
	for _, limit := range limits {
		if err := limitranger.PodMutateLimitFunc(limit, &internal); err != nil {
			return fmt.Errorf("LimitRange %s: %w", key(limit), err)
		}
	}
	podregistry.Strategy.PrepareForCreate(context.Background(), &internal)
	var created corev1.Pod
	if err := corev1conversion.Convert_core_Pod_To_v1_Pod(&internal, &created, nil); err != nil {
		return err
	}
	pod.Spec = created.Spec
	return nil
}
