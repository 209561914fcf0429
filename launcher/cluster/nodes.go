package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// NodeInfos returns what exists as the scheduler sees it: every node that is not on its
// way out, with its pods. The objects are the cache's own and must not be changed; the
// NodeInfos are the caller's.
func NodeInfos(ctx context.Context, c client.Reader) (map[string]*framework.NodeInfo, error) {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
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
	for i := range pods.Items {
		pod := &pods.Items[i]
		if info := infos[pod.Spec.NodeName]; info != nil && !IsFinished(pod) {
			info.AddPod(pod)
		}
	}
	return infos, nil
}
