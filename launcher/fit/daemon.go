package fit

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// daemonPods lists the pods the DaemonSet controller will create on a node, by its own judgement.
func daemonPods(log klog.Logger, node *corev1.Node, daemons []*appsv1.DaemonSet) []*corev1.Pod {
	var pods []*corev1.Pod
	for i, ds := range daemons {
		ds = ds.DeepCopy() // NewPod appends to the DaemonSet's own tolerations
		if should, _ := daemon.NodeShouldRunDaemonPod(log, node, ds); !should {
			continue
		}
		pod := daemon.NewPod(ds, node.Name)
		corev1defaults.SetObjectDefaults_Pod(pod) // as the API server will: limits become requests
		pod.Name = fmt.Sprintf("%s-%d", ds.Name, i)
		pod.UID = daemonUID(ds)
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
		pods = append(pods, pod)
	}
	return pods
}

func daemonUID(ds *appsv1.DaemonSet) types.UID {
	return types.UID(fmt.Sprintf("daemon-%s-%s", ds.Namespace, ds.Name))
}

// addDaemons makes each DaemonSet a class without shapes: its pods come with the nodes, but
// rules are about them as about any other pod.
func (s *Space) addDaemons() error {
	byUID := map[types.UID]int{}
	for _, ds := range s.input.DaemonSets {
		pod := daemon.NewPod(ds.DeepCopy(), "")
		info, err := framework.NewPodInfo(pod)
		if err != nil {
			return fmt.Errorf("daemonset %s/%s: %w", ds.Namespace, ds.Name, err)
		}
		byUID[daemonUID(ds)] = len(s.classes)
		s.classes = append(s.classes, &class{
			sample: pod, info: info, nsLabels: s.engine.namespaceLabels(pod.Namespace), fits: make([]bool, len(s.kinds)), daemon: true,
		})
	}
	for _, k := range s.kinds {
		for _, p := range k.info.Pods {
			k.daemons = append(k.daemons, byUID[p.GetPod().UID])
		}
	}
	return nil
}

// meetDaemons works out what the DaemonSets' pods on an empty node mean to others there:
// who may not come at all, and how many pods the rules about hosts count already.
func (s *Space) meetDaemons() {
	for i, k := range s.kinds {
		for _, d := range k.daemons {
			for _, r := range s.classes[d].hostMatched {
				if k.tallies == nil {
					k.tallies = map[int]tally{}
				}
				have := k.tally(r)
				have.matching++
				k.tallies[r] = have
			}
			for id, c := range s.classes {
				c.fits[i] = c.fits[i] && !s.apart(id, d, k) && !s.apart(d, id, k)
			}
		}
	}
}

// apart tells whether class a bears no pod of class b on a node of the kind.
func (s *Space) apart(a, b int, k *kind) bool {
	return slices.ContainsFunc(s.classes[a].owned, func(r int) bool {
		rule := s.rules[r]
		return !rule.spread && rule.matches[b] && (rule.topology == host || k.domains[rule.topology] >= 0)
	})
}

// farDaemon tells whether a class is a DaemonSet whose pods matter to pods beyond their host.
func (s *Space) farDaemon(c *class) bool {
	far := func(r int) bool { return s.rules[r].topology != host }
	return c.daemon && (slices.ContainsFunc(c.owned, far) || slices.ContainsFunc(c.matched, far) || len(c.topologies) > 0)
}
