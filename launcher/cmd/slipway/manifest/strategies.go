package manifest

import (
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the kinds, their defaults and conversions
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
)

// strategies are the API server's rules for the kinds that bear on where pods go.
var strategies = sync.OnceValue(func() map[schema.GroupKind]rest.RESTCreateStrategy {
	return map[schema.GroupKind]rest.RESTCreateStrategy{
		{Group: corev1.GroupName, Kind: "Pod"}:                   pod.Strategy,
		{Group: corev1.GroupName, Kind: "Node"}:                  node.Strategy,
		{Group: corev1.GroupName, Kind: "Namespace"}:             namespace.Strategy,
		{Group: corev1.GroupName, Kind: "PersistentVolume"}:      persistentvolume.Strategy,
		{Group: corev1.GroupName, Kind: "PersistentVolumeClaim"}: persistentvolumeclaim.Strategy,
		{Group: appsv1.GroupName, Kind: "Deployment"}:            deployment.Strategy,
		{Group: appsv1.GroupName, Kind: "ReplicaSet"}:            replicaset.Strategy,
		{Group: appsv1.GroupName, Kind: "StatefulSet"}:           statefulset.Strategy,
		{Group: appsv1.GroupName, Kind: "DaemonSet"}:             daemonset.Strategy,
		{Group: batchv1.GroupName, Kind: "Job"}:                  job.Strategy,
		{Group: batchv1.GroupName, Kind: "CronJob"}:              cronjob.Strategy,
		{Group: storagev1.GroupName, Kind: "StorageClass"}:       storageclass.Strategy,
		{Group: storagev1.GroupName, Kind: "CSINode"}:            csinode.Strategy,
		{Group: schedulingv1.GroupName, Kind: "PriorityClass"}:   priorityclass.Strategy,
	}
})
