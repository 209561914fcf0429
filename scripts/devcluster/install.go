package devcluster

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// install puts into the cluster what has to be there before anybody uses it.
func (c *Cluster) install(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	kubelets := kubeletsBinding()
	if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, kubelets, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cluster role binding %s: %w", kubelets.Name, err)
	}
	if len(c.config.CRDs) == 0 {
		return nil
	}
	if _, err := envtest.InstallCRDs(c.admin, envtest.CRDInstallOptions{
		Paths: c.config.CRDs, ErrorIfPathMissing: true, MaxTime: c.config.StartTimeout,
	}); err != nil {
		return fmt.Errorf("custom resource definitions %v: %w", c.config.CRDs, err)
	}
	return nil
}

func kubeletsBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "slipway:kubelets"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: Kubelets().Groups[0]}},
	}
}

// waitForServiceAccount waits for the account without which the API server
// admits no pod to the default namespace.
func (c *Cluster) waitForServiceAccount(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	var last error
	exists := func(ctx context.Context) (bool, error) {
		_, last = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return last == nil, nil
	}
	if wait.PollUntilContextTimeout(ctx, readyInterval, c.config.StartTimeout, true, exists) != nil {
		return fmt.Errorf("service account default/default: %w: %w%s",
			ErrNotReady, last, describeLog(c.controllerManager.LogFile()))
	}
	return nil
}
