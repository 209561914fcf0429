// Package workload owns what the objects of a cluster, live or only written down, mean for a
// plan: which pods there are and will be, who owns them, and what they find.
package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Objects are those that bear on where pods go, in the order in which they were read. They
// are in their v1 form and carry the API server's defaults.
type Objects struct {
	Pods                   []*corev1.Pod
	Nodes                  []*corev1.Node
	Namespaces             []*corev1.Namespace
	PersistentVolumes      []*corev1.PersistentVolume
	PersistentVolumeClaims []*corev1.PersistentVolumeClaim
	Deployments            []*appsv1.Deployment
	ReplicaSets            []*appsv1.ReplicaSet
	StatefulSets           []*appsv1.StatefulSet
	DaemonSets             []*appsv1.DaemonSet
	Jobs                   []*batchv1.Job
	CronJobs               []*batchv1.CronJob
	StorageClasses         []*storagev1.StorageClass
	CSINodes               []*storagev1.CSINode
	PriorityClasses        []*schedulingv1.PriorityClass
	RuntimeClasses         []*nodev1.RuntimeClass
	LimitRanges            []*corev1.LimitRange
	DeviceClasses          []*resourcev1.DeviceClass
	ResourceSlices         []*resourcev1.ResourceSlice
	ResourceClaims         []*resourcev1.ResourceClaim
	ResourceClaimTemplates []*resourcev1.ResourceClaimTemplate
	NodePools              []*v1alpha1.NodePool
	NodeClasses            []*v1alpha1.EC2NodeClass
	NodeClaims             []*v1alpha1.NodeClaim // of a cluster
}

// Add keeps an object; it returns false for a kind that has no place here.
func (o *Objects) Add(object runtime.Object) bool {
	switch object := object.(type) {
	case *corev1.Pod:
		o.Pods = append(o.Pods, object)
	case *corev1.Node:
		o.Nodes = append(o.Nodes, object)
	case *corev1.Namespace:
		o.Namespaces = append(o.Namespaces, object)
	case *corev1.PersistentVolume:
		o.PersistentVolumes = append(o.PersistentVolumes, object)
	case *corev1.PersistentVolumeClaim:
		o.PersistentVolumeClaims = append(o.PersistentVolumeClaims, object)
	case *appsv1.Deployment:
		o.Deployments = append(o.Deployments, object)
	case *appsv1.ReplicaSet:
		o.ReplicaSets = append(o.ReplicaSets, object)
	case *appsv1.StatefulSet:
		o.StatefulSets = append(o.StatefulSets, object)
	case *appsv1.DaemonSet:
		o.DaemonSets = append(o.DaemonSets, object)
	case *batchv1.Job:
		o.Jobs = append(o.Jobs, object)
	case *batchv1.CronJob:
		o.CronJobs = append(o.CronJobs, object)
	case *storagev1.StorageClass:
		o.StorageClasses = append(o.StorageClasses, object)
	case *storagev1.CSINode:
		o.CSINodes = append(o.CSINodes, object)
	case *schedulingv1.PriorityClass:
		o.PriorityClasses = append(o.PriorityClasses, object)
	case *nodev1.RuntimeClass:
		o.RuntimeClasses = append(o.RuntimeClasses, object)
	case *corev1.LimitRange:
		o.LimitRanges = append(o.LimitRanges, object)
	case *resourcev1.DeviceClass:
		o.DeviceClasses = append(o.DeviceClasses, object)
	case *resourcev1.ResourceSlice:
		o.ResourceSlices = append(o.ResourceSlices, object)
	case *resourcev1.ResourceClaim:
		o.ResourceClaims = append(o.ResourceClaims, object)
	case *resourcev1.ResourceClaimTemplate:
		o.ResourceClaimTemplates = append(o.ResourceClaimTemplates, object)
	case *v1alpha1.NodePool:
		o.NodePools = append(o.NodePools, object)
	case *v1alpha1.NodeClaim:
		o.NodeClaims = append(o.NodeClaims, object)
	case *v1alpha1.EC2NodeClass:
		o.NodeClasses = append(o.NodeClasses, object)
	default:
		return false
	}
	return true
}

// Overlay adds what another set of objects has; where both have an object, that of over is
// kept: manifests that are about to be applied replace what the cluster has.
func (o *Objects) Overlay(over *Objects) {
	o.Pods = overlay(o.Pods, over.Pods)
	o.Nodes = overlay(o.Nodes, over.Nodes)
	o.Namespaces = overlay(o.Namespaces, over.Namespaces)
	o.PersistentVolumes = overlay(o.PersistentVolumes, over.PersistentVolumes)
	o.PersistentVolumeClaims = overlay(o.PersistentVolumeClaims, over.PersistentVolumeClaims)
	o.Deployments = overlay(o.Deployments, over.Deployments)
	o.ReplicaSets = overlay(o.ReplicaSets, over.ReplicaSets)
	o.StatefulSets = overlay(o.StatefulSets, over.StatefulSets)
	o.DaemonSets = overlay(o.DaemonSets, over.DaemonSets)
	o.Jobs = overlay(o.Jobs, over.Jobs)
	o.CronJobs = overlay(o.CronJobs, over.CronJobs)
	o.StorageClasses = overlay(o.StorageClasses, over.StorageClasses)
	o.CSINodes = overlay(o.CSINodes, over.CSINodes)
	o.PriorityClasses = overlay(o.PriorityClasses, over.PriorityClasses)
	o.RuntimeClasses = overlay(o.RuntimeClasses, over.RuntimeClasses)
	o.LimitRanges = overlay(o.LimitRanges, over.LimitRanges)
	o.DeviceClasses = overlay(o.DeviceClasses, over.DeviceClasses)
	o.ResourceSlices = overlay(o.ResourceSlices, over.ResourceSlices)
	o.ResourceClaims = overlay(o.ResourceClaims, over.ResourceClaims)
	o.ResourceClaimTemplates = overlay(o.ResourceClaimTemplates, over.ResourceClaimTemplates)
	o.NodePools = overlay(o.NodePools, over.NodePools)
	o.NodeClasses = overlay(o.NodeClasses, over.NodeClasses)
	o.NodeClaims = overlay(o.NodeClaims, over.NodeClaims)
}

// Holders names by pod the NodeClaim that holds a place for it.
func (o *Objects) Holders() map[types.UID]string {
	holders := map[types.UID]string{}
	for _, c := range o.NodeClaims {
		if c.DeletionTimestamp != nil {
			continue
		}
		for _, p := range c.HeldPods() {
			holders[p.UID] = c.Name
		}
	}
	return holders
}

type named interface {
	GetNamespace() string
	GetName() string
}

func key(o named) string { return o.GetNamespace() + "/" + o.GetName() }

func overlay[T named](under, over []T) []T {
	replaced := make(map[string]bool, len(over))
	for _, o := range over {
		replaced[key(o)] = true
	}
	var all []T
	for _, o := range under {
		if !replaced[key(o)] {
			all = append(all, o)
		}
	}
	return append(all, over...)
}

// Controllers lists everything that makes pods.
func (o *Objects) Controllers() []metav1.Object {
	var all []metav1.Object
	add := func(c metav1.Object) { all = append(all, c) }
	for _, c := range o.Deployments {
		add(c)
	}
	for _, c := range o.ReplicaSets {
		add(c)
	}
	for _, c := range o.StatefulSets {
		add(c)
	}
	for _, c := range o.DaemonSets {
		add(c)
	}
	for _, c := range o.Jobs {
		add(c)
	}
	for _, c := range o.CronJobs {
		add(c)
	}
	return all
}
