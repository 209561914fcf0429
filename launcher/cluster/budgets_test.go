package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestUnyielding(t *testing.T) {
	pdb := func(name, namespace, app string, expected, desired int32) client.Object {
		return &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
			Status:     policyv1.PodDisruptionBudgetStatus{ExpectedPods: expected, DesiredHealthy: desired},
		}
	}
	unseen := pdb("never", "default", "web", 3, 3)
	unseen.SetGeneration(2)
	for _, tt := range []struct {
		name    string
		budgets []client.Object
		change  func(*corev1.Pod)
		want    string
	}{
		{name: "none"},
		{name: "of others", budgets: []client.Object{pdb("never", "default", "db", 3, 3), pdb("never", "other", "web", 3, 3)}},
		{name: "allows one", budgets: []client.Object{pdb("one", "default", "web", 3, 2)}},
		{name: "allows none", budgets: []client.Object{pdb("never", "default", "web", 3, 3)},
			want: "PodDisruptionBudget never of pod default/p never allows a disruption"},
		{name: "wants more than there are to be", budgets: []client.Object{pdb("never", "default", "web", 1, 2)},
			want: "PodDisruptionBudget never of pod default/p never allows a disruption"},
		{name: "not looked at yet", budgets: []client.Object{pdb("never", "default", "web", 0, 0)}},
		{name: "just changed", budgets: []client.Object{unseen}},
		{name: "two", budgets: []client.Object{pdb("a", "default", "web", 3, 2), pdb("b", "default", "web", 3, 2)},
			want: "pod default/p has PodDisruptionBudgets a and b, and cannot be evicted with more than one"},
		{name: "finished pod", budgets: []client.Object{pdb("never", "default", "web", 3, 3)},
			change: func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }},
		{name: "DaemonSet's pod", budgets: []client.Object{pdb("never", "default", "web", 3, 3)}, change: func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", UID: "d", Controller: new(true)}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Labels: map[string]string{"app": "web"}}}
			if tt.change != nil {
				tt.change(&pod)
			}
			got, err := Unyielding(t.Context(), fake.NewClientBuilder().WithObjects(tt.budgets...).Build(), []corev1.Pod{pod})
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
