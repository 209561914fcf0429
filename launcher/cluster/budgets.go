package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Unyielding says why one of the pods can never be evicted, however long it is waited for;
// empty when all can. Its PodDisruptionBudget wants as many pods as there are to be, or it has
// two, of which the Eviction API knows no way (pkg/registry/core/pod/storage/eviction.go).
func Unyielding(ctx context.Context, c client.Reader, pods []corev1.Pod) (why string, err error) {
	budgets := map[string][]policyv1.PodDisruptionBudget{} // by namespace
	for i := range pods {
		pod := &pods[i]
		if IsFinished(pod) || IsDaemonPod(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		all, known := budgets[pod.Namespace]
		if !known {
			var list policyv1.PodDisruptionBudgetList
			if err := c.List(ctx, &list, client.InNamespace(pod.Namespace), client.UnsafeDisableDeepCopy); err != nil {
				return "", fmt.Errorf("list poddisruptionbudgets: %w", err)
			}
			all = list.Items
			budgets[pod.Namespace] = all
		}
		var first *policyv1.PodDisruptionBudget
		for j := range all {
			pdb := &all[j]
			switch selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector); {
			case err != nil || !selector.Matches(labels.Set(pod.Labels)):
			case first != nil:
				return fmt.Sprintf("pod %s/%s has PodDisruptionBudgets %s and %s, and cannot be evicted with more than one", pod.Namespace, pod.Name, first.Name, pdb.Name), nil
			case pdb.Status.ObservedGeneration == pdb.Generation && pdb.Status.ExpectedPods > 0 && pdb.Status.DesiredHealthy >= pdb.Status.ExpectedPods:
				return fmt.Sprintf("PodDisruptionBudget %s of pod %s/%s never allows a disruption", pdb.Name, pod.Namespace, pod.Name), nil
			default:
				first = pdb
			}
		}
	}
	return "", nil
}
