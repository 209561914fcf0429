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

// NodeInfos returns what exists as the scheduler sees it: every node that is not on its
// way out, with its pods, and the pods that wait to be bound. Both are of one look, so that
// a pod that is just being bound is in one of them. The objects are the cache's own and
// must not be changed; the NodeInfos are the caller's.
func NodeInfos(ctx context.Context, c client.Reader) (nodeInfos map[string]*framework.NodeInfo, waiting map[types.UID]*corev1.Pod, err error) {
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
	for i := range pods.Items {
		pod := &pods.Items[i]
		if IsWaiting(pod) {
			waiting[pod.UID] = pod
		}
		if info := infos[pod.Spec.NodeName]; info != nil && !IsFinished(pod) {
			info.AddPod(pod)
		}
	}
	return infos, waiting, nil
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
