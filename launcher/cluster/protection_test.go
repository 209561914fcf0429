package cluster_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/cluster"
)

// TestProtectionOfPod: which annotations keep the node of a pod that was created an hour ago.
func TestProtectionOfPod(t *testing.T) {
	created := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, key, value string
		phase            corev1.PodPhase
		want             string
	}{
		{name: "none", want: ""},
		{name: "for good", key: "slipway.dev/do-not-disrupt", value: "true", want: "pod ns/a is annotated slipway.dev/do-not-disrupt"},
		{name: "not", key: "slipway.dev/do-not-disrupt", value: "false", want: ""},
		{name: "for a while", key: "slipway.dev/do-not-disrupt", value: "90m", want: "pod ns/a is annotated slipway.dev/do-not-disrupt, until 2026-11-23T13:30:00Z"},
		{name: "for a while that is over", key: "slipway.dev/do-not-disrupt", value: "60m", want: ""},
		{name: "in words", key: "slipway.dev/do-not-disrupt", value: "please", want: "pod ns/a is annotated slipway.dev/do-not-disrupt"},
		{name: "Karpenter's", key: "karpenter.sh/do-not-disrupt", value: "true", want: "pod ns/a is annotated karpenter.sh/do-not-disrupt"},
		{name: "Cluster Autoscaler's", key: "cluster-autoscaler.kubernetes.io/safe-to-evict", value: "false", want: "pod ns/a is annotated cluster-autoscaler.kubernetes.io/safe-to-evict"},
		{name: "safe to evict", key: "cluster-autoscaler.kubernetes.io/safe-to-evict", value: "true", want: ""},
		{name: "finished", key: "slipway.dev/do-not-disrupt", value: "true", phase: corev1.PodSucceeded, want: ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a", CreationTimestamp: metav1.NewTime(created)}}
			pod.Status.Phase = tc.phase
			before := pod.DeepCopy()
			if tc.key != "" {
				pod.Annotations = map[string]string{tc.key: tc.value}
			}
			got := ""
			if p := cluster.ProtectionOfPod(pod, created.Add(time.Hour)); p.By != "" {
				got = p.String()
			}
			if got != tc.want {
				t.Errorf("protected: %q, want %q", got, tc.want)
			}
			if differs := tc.key != ""; cluster.ProtectsOtherwise(before, pod) != differs {
				t.Errorf("differs from a pod without annotations: %v, want %v", !differs, differs)
			}
		})
	}
}
