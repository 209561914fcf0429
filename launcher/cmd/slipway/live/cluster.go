// Package live owns what the command reads from a running cluster and from AWS.
package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// pageSize bounds the objects of one answer.
const pageSize = 500

// Cluster is a running cluster.
type Cluster struct {
	client client.Client
	config *rest.Config
	scheme *runtime.Scheme
	// Namespace is that of the kubeconfig's context.
	Namespace string
}

// Connect finds the cluster as kubectl does: kubeconfig (empty: $KUBECONFIG or the usual
// file) and context (empty: the current one). It calls nothing yet.
func Connect(kubeconfig, kubeContext string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.UserAgent = "slipway"
	config.QPS, config.Burst = 50, 100
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", config.Host, err)
	}
	return &Cluster{client: c, config: config, scheme: scheme, Namespace: namespace}, nil
}

// Version is the cluster's Kubernetes version, such as "1.36".
func (c *Cluster) Version() (string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return "", err
	}
	v, err := d.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("API server %s: version: %w", c.config.Host, err)
	}
	return v.Major + "." + strings.TrimRight(v.Minor, "+"), nil
}

// Objects reads what bears on a plan: pods, nodes, DaemonSets, volumes, devices, pools, classes
// and claims.
// Pods that wait for a node are left out where they are not in the namespace (empty: any),
// unless a NodeClaim has a place for them.
func (c *Cluster) Objects(ctx context.Context, namespace string) (*workload.Objects, error) {
	var o workload.Objects
	var reserved map[types.UID]string
	for _, list := range []client.ObjectList{
		&v1alpha1.NodeClaimList{}, &corev1.PodList{}, &corev1.NodeList{}, &corev1.NamespaceList{}, &corev1.PersistentVolumeList{}, &corev1.PersistentVolumeClaimList{},
		&appsv1.DaemonSetList{}, &storagev1.StorageClassList{}, &storagev1.CSINodeList{},
		&schedulingv1.PriorityClassList{}, &nodev1.RuntimeClassList{}, &corev1.LimitRangeList{},
		&resourcev1.DeviceClassList{}, &resourcev1.ResourceSliceList{}, &resourcev1.ResourceClaimList{}, &resourcev1.ResourceClaimTemplateList{},
		&v1alpha1.NodePoolList{}, &v1alpha1.EC2NodeClassList{},
	} {
		err := c.list(ctx, list, func(object runtime.Object) {
			pod, isPod := object.(*corev1.Pod)
			if !isPod || pod.Spec.NodeName != "" || namespace == "" || pod.Namespace == namespace || reserved[pod.UID] != "" {
				o.Add(object)
			}
		})
		if _, isClaims := list.(*v1alpha1.NodeClaimList); isClaims {
			reserved = o.Holders()
		}
		if meta.IsNoMatchError(err) && optional(list) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("API server %s: %w", c.config.Host, err)
		}
	}
	return &o, nil
}

// optional tells whether a cluster may lack the kind: where Slipway is not installed, and
// before Kubernetes 1.34, which has no devices of this version.
func optional(list client.ObjectList) bool {
	switch list.(type) {
	case *v1alpha1.NodePoolList, *v1alpha1.EC2NodeClassList, *v1alpha1.NodeClaimList,
		*resourcev1.DeviceClassList, *resourcev1.ResourceSliceList, *resourcev1.ResourceClaimList, *resourcev1.ResourceClaimTemplateList:
		return true
	}
	return false
}

// list reads page by page.
func (c *Cluster) list(ctx context.Context, list client.ObjectList, each func(runtime.Object), options ...client.ListOption) error {
	for {
		page := append(slices.Clone(options), client.Limit(pageSize), client.Continue(list.GetContinue()))
		if err := c.client.List(ctx, list, page...); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
		err := meta.EachListItem(list, func(o runtime.Object) error { each(o.DeepCopyObject()); return nil })
		if err != nil || list.GetContinue() == "" {
			return err
		}
	}
}
