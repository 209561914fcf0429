package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestKubeletSettings: what a class sets of the kubelet is planned with and is so on the
// node, so that pods land as planned at the first try.
func TestKubeletSettings(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "few-pods"}}
	class.Spec.Kubelet = &v1alpha1.KubeletConfiguration{
		MaxPods:      new(int32(5)),
		KubeReserved: map[string]v1alpha1.ReservedAmount{"cpu": "500m", "memory": "1Gi"},
		EvictionHard: map[string]v1alpha1.EvictionThreshold{"memory.available": "5%"},
	}
	w.create(class)
	p := pool("m5", never, "m5.large", "m5.xlarge")
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: class.Name}
	w.poolReady(p)

	// A dozen would fit one node, were it not for maxPods.
	w.create(deployment("small", 12, "50m"))
	w.onReserved(w.bound("small", 12))
	for _, node := range w.nodes() {
		if got := node.Status.Allocatable.Pods().Value(); got != 5 {
			t.Errorf("node %s runs %d pods, want 5", node.Name, got)
		}
	}
	if n := w.launches(); n != 3 {
		t.Errorf("%d nodes for 12 pods at 5 each", n)
	}

	// An m5.large has 1.93 CPUs by default, 1.5 where half a CPU is reserved.
	w.create(deployment("busy", 1, "1600m"))
	busy := w.bound("busy", 1)
	w.onReserved(busy)
	var node corev1.Node
	if err := w.Client.Get(w.ctx, client.ObjectKey{Name: busy[0].Spec.NodeName}, &node); err != nil {
		t.Fatal(err)
	}
	if typ, cpu := node.Labels[corev1.LabelInstanceTypeStable], node.Status.Allocatable.Cpu().String(); typ != "m5.xlarge" || cpu != "3500m" {
		t.Errorf("the pod runs on %s with %s CPUs, want m5.xlarge with 3500m", typ, cpu)
	}
	if n := w.launches(); n != 4 {
		t.Errorf("%d instances were bought, want 4: one did not turn out as planned", n)
	}
	for _, c := range w.claims() {
		if c.Status.Sizing != class.Sizing() {
			t.Errorf("claim %s has sizing %q, its class %q", c.Name, c.Status.Sizing, class.Sizing())
		}
	}
}
