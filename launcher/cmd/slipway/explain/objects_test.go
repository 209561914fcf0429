package explain_test

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

func before(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// pod is one of a Deployment, on a node if that is named.
func pod(name, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: before(90 * time.Second),
		Labels: map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "7d4b9"},
	}}
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-7d4b9", Controller: new(true)}}
	p.Spec = corev1.PodSpec{SchedulerName: "slipway-scheduler", NodeName: node, Containers: []corev1.Container{{
		Name: "a", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi")}},
	}}}
	p.Status.Phase = corev1.PodPending
	if node != "" {
		p.Status.Phase = corev1.PodRunning
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// says has the scheduler say why the pod waits.
func says(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
	}
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{key: value} }
}

func ofDaemonSet(p *corev1.Pod) {
	p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "DaemonSet", "agent"
}

// claim of a node that runs; steps back with until.
func claim(change ...func(*v1alpha1.NodeClaim)) *v1alpha1.NodeClaim {
	c := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "general-x7k2p", CreationTimestamp: before(26 * time.Hour)}}
	c.Spec.NodePool = "general"
	c.Spec.Pods = []v1alpha1.ReservedPod{{UID: "uid-web-1", Namespace: "shop", Name: "web-1"}, {UID: "uid-web-2", Namespace: "shop", Name: "web-2"}}
	c.Spec.Offerings = v1alpha1.GroupOfferings(
		v1alpha1.AcceptedOffering{InstanceType: "c6a.large", Zone: "us-east-1a", CapacityType: "on-demand", Price: resource.MustParse("0.0765")},
		v1alpha1.AcceptedOffering{InstanceType: "c6a.large", Zone: "us-east-1b", CapacityType: "on-demand", Price: resource.MustParse("0.0765")},
		v1alpha1.AcceptedOffering{InstanceType: "m6a.large", Zone: "us-east-1a", CapacityType: "on-demand", Price: resource.MustParse("0.0864")},
	)
	c.Spec.Requests = corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("2Gi")}
	price := resource.MustParse("0.0765")
	c.Status = v1alpha1.NodeClaimStatus{
		ProviderID: "aws:///us-east-1a/i-0a1b", InstanceID: "i-0a1b", NodeName: "i-0a1b", InstanceType: "c6a.large", Zone: "us-east-1a",
		CapacityType: "on-demand", Price: &price, Allocatable: corev1.ResourceList{"cpu": resource.MustParse("1930m"), "memory": resource.MustParse("3Gi"), "pods": resource.MustParse("29")},
	}
	set(c, v1alpha1.ConditionLaunched, metav1.ConditionTrue, "Launched", "", 26*time.Hour)
	set(c, v1alpha1.ConditionRegistered, metav1.ConditionTrue, "Registered", "node i-0a1b registered", 26*time.Hour)
	set(c, v1alpha1.ConditionInitialized, metav1.ConditionTrue, "Initialized", "", 26*time.Hour)
	for _, f := range change {
		f(c)
	}
	return c
}

func set(c *v1alpha1.NodeClaim, kind string, status metav1.ConditionStatus, reason, message string, since time.Duration) {
	c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: before(since)})
}

// with adds a condition that came a minute ago.
func with(kind string, status metav1.ConditionStatus, reason, message string) func(*v1alpha1.NodeClaim) {
	return func(c *v1alpha1.NodeClaim) { set(c, kind, status, reason, message, time.Minute) }
}

// young leaves a claim with its first n conditions, made 12 seconds ago.
func young(n int) func(*v1alpha1.NodeClaim) {
	return func(c *v1alpha1.NodeClaim) {
		c.CreationTimestamp = before(14 * time.Second)
		c.Status.Conditions = c.Status.Conditions[:n]
		for i := range c.Status.Conditions {
			c.Status.Conditions[i].LastTransitionTime = before(12 * time.Second)
		}
		if n == 0 {
			c.Status = v1alpha1.NodeClaimStatus{}
		}
	}
}

func leaving(c *v1alpha1.NodeClaim) { c.DeletionTimestamp = new(before(2 * time.Minute)) }

func node(change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "i-0a1b", CreationTimestamp: before(26 * time.Hour), Labels: map[string]string{
		v1alpha1.LabelNodePool: "general", corev1.LabelInstanceTypeStable: "c6a.large", corev1.LabelTopologyZone: "us-east-1a", v1alpha1.LabelCapacityType: "on-demand",
	}}}
	n.Spec.ProviderID = "aws:///us-east-1a/i-0a1b"
	n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("1930m"), "memory": resource.MustParse("3Gi"), "pods": resource.MustParse("29")}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, f := range change {
		f(n)
	}
	return n
}

func pool(change ...func(*v1alpha1.NodePool)) *v1alpha1.NodePool {
	p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "general"}}
	p.Spec.Disruption = v1alpha1.Disruption{ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty, ConsolidateAfter: "30s", Budgets: []v1alpha1.Budget{{Nodes: "10%"}}}
	for _, f := range change {
		f(p)
	}
	return p
}

func budget(name string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: 2, DesiredHealthy: 2},
	}
}

func event(ago time.Duration, reason, note string) *eventsv1.Event {
	return &eventsv1.Event{EventTime: metav1.NewMicroTime(now.Add(-ago)), Reason: reason, Note: note}
}

const (
	reserved = "node i-0a1b (c6a.large, us-east-1a, on-demand, $0.0765/h) is being launched for this pod (claim general-x7k2p); " +
		"expected to be ready at 09:30:31 UTC; the pod waits since 09:28:30 UTC"
	unlaunchable = "no node can be launched for this pod: nodepool general: needs 500 cpu, the largest allowed type c6a.48xlarge gives 191450m"
	preempted    = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
)

// scene is filled up with what every situation has.
func scene(s explain.Scene) *explain.Scene {
	s.Now = now
	if s.Schedulers == nil {
		s.Schedulers = []string{"slipway-scheduler"}
	}
	return &s
}
