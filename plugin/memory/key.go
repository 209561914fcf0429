package memory

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corelisters "k8s.io/client-go/listers/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// refusalOf reads what is to be kept, or says why nothing is. Refusals are kept of plugins
// of which the key holds all that they read of a pod, and of which everything else that
// they read comes from the scheduler's cache, its nominations or the ledger. That leaves
// out the plugins for volumes and devices: they read caches of their own, which may hear
// of a change after the memory does.
//
// Only plugins that refused are asked about. A node takes a pod only if all plugins agree,
// so it does not matter what else they think of a pod that is otherwise alike: pods with
// claims of their own, as a StatefulSet's, may share a refusal for want of CPU.
func (m *Memory) refusalOf(pod *v1.Pod, fit *framework.FitError) (*refusal, string) {
	d := fit.Diagnosis
	r := &refusal{
		pod:       anonymous(pod),
		priority:  corev1helpers.PodPriority(pod),
		rejectors: d.UnschedulablePlugins.Clone(),
		message:   summary(fit),
		nodes:     fit.NumAllNodes,
		freed:     m.freed,
		recorded:  m.cfg.Clock.Now(),
	}
	if len(d.PendingPlugins) > 0 || len(d.UnschedulablePlugins) == 0 {
		// A plugin waits for something, or an extender or an error is behind it.
		return nil, "Plugin"
	}
	if len(pod.Spec.ResourceClaims) > 0 || pod.Spec.SchedulingGroup != nil {
		return nil, "Pod"
	}
	for plugin := range d.UnschedulablePlugins {
		switch plugin {
		case names.NodeUnschedulable, names.NodeName, names.TaintToleration, names.NodeAffinity, names.NodePorts, names.NodeResourcesFit:
		case m.cfg.Guard:
			r.guarded = true
		case names.PodTopologySpread:
			if len(pod.Spec.TopologySpreadConstraints) == 0 {
				// The cluster's default constraints select by Services and ReplicaSets.
				return nil, "DefaultSpread"
			}
		case names.InterPodAffinity:
			if selectsNamespaces(pod.Spec.Affinity) {
				return nil, "NamespaceSelector"
			}
			r.labelled = true
		default:
			return nil, "Plugin"
		}
	}
	return r, ""
}

// anonymous is what a pod has in common with its like.
func anonymous(pod *v1.Pod) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Labels: pod.Labels}, Spec: pod.Spec}
}

// selectsNamespaces reports whether a required term selects namespaces by their labels,
// of whose changes plugins are not told.
func selectsNamespaces(a *v1.Affinity) bool {
	for _, terms := range [][]v1.PodAffinityTerm{fwk.GetPodAffinityTerms(a), fwk.GetPodAntiAffinityTerms(a)} {
		for _, t := range terms {
			if t.NamespaceSelector != nil {
				return true
			}
		}
	}
	return false
}

// keyOf is what pods have in common that are alike to every plugin but InterPodAffinity.
// Of their labels, that is those which their own spread constraints mention. Labels that
// tell the pods of a StatefulSet or an indexed Job apart are not among them.
func keyOf(pod *v1.Pod) string {
	var mentioned map[string]string
	for key := range spreadLabels(pod.Spec.TopologySpreadConstraints) {
		if value, ok := pod.Labels[key]; ok {
			if mentioned == nil {
				mentioned = map[string]string{}
			}
			mentioned[key] = value
		}
	}
	return encode(pod, metav1.ObjectMeta{Namespace: pod.Namespace, Labels: mentioned})
}

// labelledKeyOf is the key of pods that are also alike to InterPodAffinity: other pods'
// anti-affinity may select any of their labels and any of their namespace's.
func labelledKeyOf(pod *v1.Pod, namespaces corelisters.NamespaceLister) string {
	meta := metav1.ObjectMeta{Name: "labelled", Namespace: pod.Namespace, Labels: pod.Labels}
	if ns, err := namespaces.Get(pod.Namespace); err == nil {
		meta.Annotations = ns.Labels
	}
	return encode(pod, meta)
}

func spreadLabels(constraints []v1.TopologySpreadConstraint) sets.Set[string] {
	if len(constraints) == 0 {
		return nil
	}
	keys := sets.New[string]()
	for _, c := range constraints {
		keys.Insert(c.MatchLabelKeys...)
		if c.LabelSelector == nil {
			continue
		}
		for key := range c.LabelSelector.MatchLabels {
			keys.Insert(key)
		}
		for _, e := range c.LabelSelector.MatchExpressions {
			keys.Insert(e.Key)
		}
	}
	return keys
}

// encode writes what Filter plugins read of a pod, and meta. The encoding has one form
// only: its generator sorts maps.
func encode(pod *v1.Pod, meta metav1.ObjectMeta) string {
	s := &pod.Spec
	stripped := v1.Pod{ObjectMeta: meta, Spec: v1.PodSpec{
		Containers:                containers(s.Containers),
		InitContainers:            containers(s.InitContainers),
		Resources:                 s.Resources,
		Overhead:                  s.Overhead,
		NodeSelector:              s.NodeSelector,
		NodeName:                  s.NodeName,
		Affinity:                  s.Affinity,
		Tolerations:               s.Tolerations,
		TopologySpreadConstraints: s.TopologySpreadConstraints,
		Priority:                  s.Priority,
		SchedulerName:             s.SchedulerName,
		HostNetwork:               s.HostNetwork,
	}}
	data, err := stripped.Marshal()
	if err != nil {
		// Unreachable: marshalling grows its buffer. A key of its own is alike to none.
		return "\x00" + string(pod.UID)
	}
	return string(data)
}

func containers(all []v1.Container) []v1.Container {
	if len(all) == 0 {
		return nil
	}
	stripped := make([]v1.Container, len(all))
	for i := range all {
		stripped[i].Resources = all[i].Resources
		stripped[i].RestartPolicy = all[i].RestartPolicy
		for _, port := range all[i].Ports {
			if port.HostPort != 0 {
				stripped[i].Ports = append(stripped[i].Ports, v1.ContainerPort{HostIP: port.HostIP, HostPort: port.HostPort, Protocol: port.Protocol})
			}
		}
	}
	return stripped
}
