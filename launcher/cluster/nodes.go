package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
