package manifest

import (
	"context"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the kinds, their defaults and conversions
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/resource/deviceclass"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaim"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaimtemplate"
	"k8s.io/kubernetes/pkg/registry/resource/resourceslice"
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
		{Group: corev1.GroupName, Kind: "LimitRange"}:            limitrange.Strategy,
		{Group: nodev1.GroupName, Kind: "RuntimeClass"}:          runtimeclass.Strategy,
		{Group: resourcev1.GroupName, Kind: "DeviceClass"}:       deviceclass.Strategy,
		{Group: resourcev1.GroupName, Kind: "ResourceSlice"}:     resourceslice.Strategy,

		{Group: resourcev1.GroupName, Kind: "ResourceClaim"}:         resourceclaim.NewStrategy(adminNamespaces{}, nil),
		{Group: resourcev1.GroupName, Kind: "ResourceClaimTemplate"}: resourceclaimtemplate.NewStrategy(adminNamespaces{}),
	}
})

// adminNamespaces lets claims of every namespace ask for admin access: whether they may is
// not known here, and has no bearing on where their pods go.
type adminNamespaces struct{ typedcorev1.NamespaceInterface }

func (adminNamespaces) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	labels := map[string]string{resourcev1.DRAAdminNamespaceLabelKey: "true"}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, nil
}
