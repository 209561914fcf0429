package stack

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Namespace is where the workloads of demos and benchmarks are.
const Namespace = "default"

const image = "public.ecr.aws/eks-distro/kubernetes/pause:3.2"

// NodePool is a pool whose empty nodes go after ttl, all at once if need be.
func NodePool(name string, ttl time.Duration, requirements ...v1alpha1.Requirement) *v1alpha1.NodePool {
	p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Template.Spec.Requirements = requirements
	p.Spec.Disruption = v1alpha1.Disruption{
		ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty, ConsolidateAfter: ttl.String(),
		Budgets: []v1alpha1.Budget{{Nodes: "100%"}},
	}
	return p
}

// PoolReady tells whether nodes can be launched from a pool.
func (s *Stack) PoolReady(ctx context.Context, name string) bool {
	var pool v1alpha1.NodePool
	err := s.Client.Get(ctx, client.ObjectKey{Name: name}, &pool)
	return err == nil && meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionReady)
}

// Deployment is one of Slipway's pods, labelled app=name, that end without grace.
func Deployment(name string, replicas int32, cpu, memory string, change ...func(*corev1.PodSpec)) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	spec := corev1.PodSpec{
		SchedulerName:                 SchedulerName,
		TerminationGracePeriodSeconds: new(int64(0)),
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
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(replicas), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}
