package demo

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// firstRound: one type only, one pod a node.
func firstRound() round {
	return round{
		name: "inflate", title: "10 pods, only t3.medium may be launched", pods: 10,
		pool: stack.NodePool("t3-medium", ttl, v1alpha1.Requirement{
			Key: corev1.LabelInstanceTypeStable, Operator: v1alpha1.OpIn, Values: []string{"t3.medium"},
		}),
		deployments: []*appsv1.Deployment{stack.Deployment("inflate", 10, "1", "128Mi")},
	}
}

// secondRound: every type, three sizes, one deployment spread over zones, one of pods that
// keep apart.
func secondRound() round {
	return round{
		name: "mixed", title: "100 mixed pods, every instance type may be launched", pods: 100,
		pool: stack.NodePool("general", ttl),
		deployments: []*appsv1.Deployment{
			stack.Deployment("small", 40, "250m", "512Mi"),
			stack.Deployment("medium", 30, "1", "2Gi"),
			stack.Deployment("large", 10, "2", "8Gi"),
			stack.Deployment("spread", 15, "500m", "1Gi", func(s *corev1.PodSpec) {
				s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "spread"}},
				}}
			}),
			stack.Deployment("apart", 5, "500m", "1Gi", func(s *corev1.PodSpec) {
				s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
						TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "apart"}},
					}},
				}}
			}),
		},
	}
}
