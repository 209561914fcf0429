package workload

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"

	"github.com/slipway-dev/slipway/launcher/cluster"
)

// Workload is what there is to plan for.
type Workload struct {
	// Waiting pods need a place, oldest first, else in the order of the input.
	Waiting []*corev1.Pod
	// Running pods by the name of the Node they are on.
	Running map[string][]*corev1.Pod
	// Reserved pods wait, too, but have a place: by the name of the NodeClaim that holds it.
	Reserved map[string][]*corev1.Pod
	// Owners of all pods, such as "deployment/web", by "namespace/name".
	Owners map[string]string
	// Notes tell people what was assumed.
	Notes []string
}

// Key is how Owners names a pod.
func Key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// New works out the pods and completes the objects they refer to: claims of StatefulSets,
// storage classes and priorities. It changes the objects.
func New(o *Objects) *Workload {
	w := &Workload{Running: map[string][]*corev1.Pod{}, Reserved: map[string][]*corev1.Pod{}, Owners: map[string]string{}}
	live := w.sort(o)
	made := expand(o, live)
	for _, m := range made {
		w.Owners[Key(m.pod)] = m.owner
		w.Waiting = append(w.Waiting, m.pod)
	}
	slices.SortStableFunc(w.Waiting, func(a, b *corev1.Pod) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	all := slices.Clone(w.Waiting)
	for _, placed := range []map[string][]*corev1.Pod{w.Running, w.Reserved} {
		for _, name := range slices.Sorted(maps.Keys(placed)) {
			all = append(all, placed[name]...)
		}
	}
	w.Notes = slices.Concat(w.Notes, prioritize(all, o.PriorityClasses), o.admit(all), o.admitDaemons(), o.completeStorage())
	o.completeDevices(w.Waiting)
	return w
}

// admitDaemons completes the templates of DaemonSets, the pods of which are made elsewhere.
func (o *Objects) admitDaemons() []string {
	var pods []*corev1.Pod
	for _, ds := range o.DaemonSets {
		pod := &corev1.Pod{Spec: ds.Spec.Template.Spec}
		pod.Namespace, pod.Name, pod.Labels = ds.Namespace, ds.Name, ds.Spec.Template.Labels
		corev1defaults.SetObjectDefaults_Pod(pod)
		pods = append(pods, pod)
	}
	notes := o.admit(pods)
	for i, ds := range o.DaemonSets {
		ds.Spec.Template.Spec = pods[i].Spec
	}
	return notes
}

// sort tells the pods that wait from those that run, and returns those that count for
// their controllers.
func (w *Workload) sort(o *Objects) []*corev1.Pod {
	nodes := map[string]bool{}
	for _, n := range o.Nodes {
		nodes[n.Name] = true
	}
	var live []*corev1.Pod
	elsewhere, reserved, holders := 0, 0, o.Holders()
	for _, pod := range o.Pods {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if pod.UID == "" {
			pod.UID = types.UID("pod/" + Key(pod))
		}
		live = append(live, pod)
		w.Owners[Key(pod)] = ownerName(pod, o)
		switch {
		case pod.Spec.NodeName != "" && nodes[pod.Spec.NodeName]:
			w.Running[pod.Spec.NodeName] = append(w.Running[pod.Spec.NodeName], pod)
		case pod.Spec.NodeName != "":
			elsewhere++
		case cluster.IsDaemonPod(pod) || pod.DeletionTimestamp != nil:
			// It is bound to a node of its own, or about to go.
		case holders[pod.UID] != "":
			w.Reserved[holders[pod.UID]] = append(w.Reserved[holders[pod.UID]], pod)
			reserved++
		default:
			w.Waiting = append(w.Waiting, pod)
		}
	}
	if reserved > 0 {
		w.Notes = append(w.Notes, fmt.Sprintf("%d pods wait for the nodes of %d NodeClaims that have a place for them; they are left out", reserved, len(w.Reserved)))
	}
	if elsewhere > 0 {
		w.Notes = append(w.Notes, fmt.Sprintf("%d pods run on nodes that are not among the input; they are left out", elsewhere))
	}
	return live
}
