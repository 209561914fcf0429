package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Lookout looks at what exists, again and again. What it worked out about a pod it keeps
// until it sees another version of the pod, or the pod no more. The zero Lookout is ready
// for use, by one goroutine at a time.
type Lookout struct {
	pods map[types.UID]*framework.PodInfo
}

// NodeInfos returns what exists as the scheduler sees it: every node that is not on its
// way out, with its pods, and the pods that wait to be bound. Both are of one look, so that
// a pod that is just being bound is in one of them. The objects are the cache's own and
// must not be changed; the NodeInfos are the caller's.
func (l *Lookout) NodeInfos(ctx context.Context, c client.Reader) (nodeInfos map[string]*framework.NodeInfo, waiting map[types.UID]*corev1.Pod, err error) {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list nodes: %w", err)
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list pods: %w", err)
	}
	infos := make(map[string]*framework.NodeInfo, len(nodes.Items))
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if node.DeletionTimestamp != nil {
			continue
		}
		infos[node.Name] = framework.NewNodeInfo()
		infos[node.Name].SetNode(node)
	}
	waiting = map[types.UID]*corev1.Pod{}
	kept := make(map[types.UID]*framework.PodInfo, len(l.pods))
	for i := range pods.Items {
		pod := &pods.Items[i]
		if IsWaiting(pod) {
			waiting[pod.UID] = pod
		}
		if info := infos[pod.Spec.NodeName]; info != nil && !IsFinished(pod) {
			p := l.podInfo(pod)
			info.AddPodInfo(p)
			kept[pod.UID] = p
		}
	}
	l.pods = kept
	return infos, waiting, nil
}

// podInfo parses a pod and sums up its requests, unless that was done for this very version.
func (l *Lookout) podInfo(pod *corev1.Pod) *framework.PodInfo {
	p := l.pods[pod.UID]
	if p == nil || pod.ResourceVersion == "" || p.Pod.ResourceVersion != pod.ResourceVersion {
		p = &framework.PodInfo{}
	}
	_ = p.Update(pod) // as in the scheduler's cache, terms that cannot be parsed are left out
	return p
}

// DeclaredFeatures foretells, by NodePool, the features that its next node will declare
// (Node.status.declaredFeatures): those that all nodes it has declare. They follow from the
// kubelet's version and settings, which the nodes of a pool share but while a new version is
// rolled out. Of a pool without a node nothing is known.
func DeclaredFeatures(nodes map[string]*framework.NodeInfo) map[string][]string {
	byPool := map[string][]string{}
	for _, n := range nodes {
		pool, ours := n.Node().Labels[v1alpha1.LabelNodePool]
		if !ours || n.Node().Status.NodeInfo.KubeletVersion == "" { // its kubelet has yet to report
			continue
		}
		features := n.Node().Status.DeclaredFeatures
		if have, known := byPool[pool]; known {
			features = slices.DeleteFunc(slices.Clone(have), func(f string) bool { return !slices.Contains(features, f) })
		}
		byPool[pool] = features
	}
	return byPool
}
