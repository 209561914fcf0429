package demo

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/stack"
)

const image = "public.ecr.aws/eks-distro/kubernetes/pause:3.2"

// firstRound: one type only, one pod a node.
func firstRound() round {
	return round{
		name: "inflate", title: "10 pods, only t3.medium may be launched", pods: 10,
		pool: pool("t3-medium", v1alpha1.Requirement{
			Key: corev1.LabelInstanceTypeStable, Operator: v1alpha1.OpIn, Values: []string{"t3.medium"},
		}),
		deployments: []*appsv1.Deployment{deployment("inflate", 10, "1", "128Mi")},
	}
}

// secondRound: every type, three sizes, one deployment spread over zones, one of pods that
// keep apart.
func secondRound() round {
	return round{
		name: "mixed", title: "100 mixed pods, every instance type may be launched", pods: 100,
		pool: pool("general"),
		deployments: []*appsv1.Deployment{
			deployment("small", 40, "250m", "512Mi"),
			deployment("medium", 30, "1", "2Gi"),
			deployment("large", 10, "2", "8Gi"),
			deployment("spread", 15, "500m", "1Gi", func(s *corev1.PodSpec) {
				s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
					LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "spread"}},
				}}
			}),
			deployment("apart", 5, "500m", "1Gi", func(s *corev1.PodSpec) {
				s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
						TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "apart"}},
					}},
				}}
			}),
		},
	}
}

func pool(name string, requirements ...v1alpha1.Requirement) *v1alpha1.NodePool {
	p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Template.Spec.Requirements = requirements
	p.Spec.Disruption = v1alpha1.Disruption{
		ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty, ConsolidateAfter: ttl.String(),
		Budgets: []v1alpha1.Budget{{Nodes: "100%"}},
	}
	return p
}

func deployment(name string, replicas int32, cpu, memory string, change ...func(*corev1.PodSpec)) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	spec := corev1.PodSpec{
		SchedulerName:                 stack.SchedulerName,
		TerminationGracePeriodSeconds: ptr.To[int64](0),
		Containers: []corev1.Container{{
			Name: "pause", Image: image,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
			}},
		}},
	}
	for _, c := range change {
		c(&spec)
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(replicas), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}
