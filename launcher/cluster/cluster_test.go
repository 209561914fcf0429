package cluster_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

func newClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.NodeClaim{})
	if err := cluster.Index(t.Context(), indexer{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.WithIndex(o, field, f)
	return nil
}

func pod(name, node string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: node}}
	for _, c := range change {
		c(p)
	}
	return p
}

func ended(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }

func owned(kind string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "owner", UID: "owner", Controller: new(true)}}
	}
}

func TestIsDaemonPod(t *testing.T) {
	for _, tt := range []struct {
		name string
		pod  *corev1.Pod
		want bool
	}{
		{"of a DaemonSet", pod("a", "n", owned("DaemonSet")), true},
		{"of a ReplicaSet", pod("a", "n", owned("ReplicaSet")), false},
		{"of nobody", pod("a", "n"), false},
		{"a static pod's mirror", pod("a", "n", func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		}), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cluster.IsDaemonPod(tt.pod); got != tt.want {
				t.Errorf("IsDaemonPod = %v", got)
			}
		})
	}
}

func TestOpenReservations(t *testing.T) {
	claim := &v1alpha1.NodeClaim{}
	for _, name := range []string{"waits", "bound", "ended", "gone", "replaced", "released"} {
		claim.Spec.Pods = append(claim.Spec.Pods, v1alpha1.ReservedPod{UID: types.UID(name), Namespace: "default", Name: name})
	}
	claim.Status.Released = []types.UID{"released"}
	c := newClient(t, pod("waits", ""), pod("bound", "n"), pod("ended", "", ended), pod("released", ""),
		pod("replaced", "", func(p *corev1.Pod) { p.UID = "another" }))
	open, err := cluster.OpenReservations(t.Context(), c, claim)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]v1alpha1.ReservedPod{{UID: "waits", Namespace: "default", Name: "waits"}}, open); diff != "" {
		t.Errorf("open reservations (-want +got):\n%s", diff)
	}
}

func TestIndexes(t *testing.T) {
	c := newClient(t,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{ProviderID: "aws:///a/i-1"}},
		&v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Status: v1alpha1.NodeClaimStatus{ProviderID: "aws:///a/i-1"}},
		pod("on", "n"), pod("elsewhere", "m"), pod("owned", "", owned("ReplicaSet")),
	)
	ctx := t.Context()
	if node, err := cluster.NodeByProviderID(ctx, c, "aws:///a/i-1"); err != nil || node == nil || node.Name != "n" {
		t.Errorf("NodeByProviderID = %v, %v", node, err)
	}
	if node, err := cluster.NodeByProviderID(ctx, c, "aws:///a/i-2"); err != nil || node != nil {
		t.Errorf("NodeByProviderID of a stranger = %v, %v", node, err)
	}
	if claim, err := cluster.ClaimByProviderID(ctx, c, "aws:///a/i-1"); err != nil || claim == nil || claim.Name != "c" {
		t.Errorf("ClaimByProviderID = %v, %v", claim, err)
	}
	if pods, err := cluster.PodsOn(ctx, c, "n"); err != nil || len(pods) != 1 || pods[0].Name != "on" {
		t.Errorf("PodsOn = %v, %v", pods, err)
	}
	if pods, err := cluster.PodsOf(ctx, c, "owner"); err != nil || len(pods) != 1 || pods[0].Name != "owned" {
		t.Errorf("PodsOf = %v, %v", pods, err)
	}
}

func TestNodeInfos(t *testing.T) {
	now := metav1.Now()
	leaving := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "leaving", DeletionTimestamp: &now, Finalizers: []string{"x/y"}}}
	c := newClient(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, leaving,
		pod("on", "n"), pod("ended", "n", ended), pod("waits", ""), pod("lost", "leaving"))
	var lookout cluster.Lookout
	infos, waiting, err := lookout.NodeInfos(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 1 || len(infos["n"].Pods) != 1 || infos["n"].Pods[0].GetPod().Name != "on" {
		t.Errorf("nodes: %v", infos)
	}
	if len(waiting) != 1 || waiting["waits"] == nil {
		t.Errorf("waiting: %v", waiting)
	}
}

func TestLookAgain(t *testing.T) {
	asking := func(cpu string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
			}}}
		}
	}
	ctx, resized, stays := t.Context(), pod("resized", "n", asking("1")), pod("stays", "n", asking("2"))
	c := newClient(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, resized, stays, pod("leaves", "n", asking("4")))
	var lookout cluster.Lookout
	look := func() map[string]*framework.PodInfo {
		infos, _, err := lookout.NodeInfos(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		byName, sum := map[string]*framework.PodInfo{}, int64(0)
		for _, p := range infos["n"].Pods {
			info, ok := p.(*framework.PodInfo)
			if !ok {
				t.Fatalf("a pod's info is a %T", p)
			}
			byName[p.GetPod().Name] = info
			sum += info.CalculateResource().Resource.GetMilliCPU()
		}
		if got := infos["n"].Requested.MilliCPU; got != sum {
			t.Errorf("the node's pods request %d, it says %d", sum, got)
		}
		return byName
	}
	before := look()
	if err := c.Get(ctx, client.ObjectKeyFromObject(resized), resized); err != nil {
		t.Fatal(err)
	}
	asking("3")(resized)
	if err := c.Update(ctx, resized); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, before["leaves"].Pod); err != nil {
		t.Fatal(err)
	}
	after := look()
	if len(after) != 2 || after["stays"] != before["stays"] {
		t.Errorf("after %v, before %v", after, before)
	}
	if cpu := after["resized"].CalculateResource().Resource.GetMilliCPU(); cpu != 3000 {
		t.Errorf("the resized pod requests %dm", cpu)
	}
}

func TestCollector(t *testing.T) {
	claim := func(name, instance, price string) *v1alpha1.NodeClaim {
		q := resource.MustParse(price)
		return &v1alpha1.NodeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeClaimSpec{NodePool: "p"},
			Status: v1alpha1.NodeClaimStatus{InstanceID: instance, InstanceType: "t3.medium", Zone: "a", CapacityType: "spot", Price: &q},
		}
	}
	collector := cluster.NewCollector(newClient(t, claim("a", "i-1", "0.25"), claim("b", "i-2", "0.5"), claim("unlaunched", "", "1")))
	problems, err := testutil.CollectAndLint(collector)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if n := testutil.CollectAndCount(collector); n != 2 {
		t.Errorf("%d series, want one of nodes and one of price", n)
	}
}
