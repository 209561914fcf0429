package nodes_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// BenchmarkFrame: what is done every second for 5,000 nodes with 100,000 pods.
func BenchmarkFrame(b *testing.B) {
	var all []corev1.Node
	var claims []v1alpha1.NodeClaim
	var pods []corev1.Pod
	for i := range 5000 {
		name := fmt.Sprintf("i-%05d", i)
		all = append(all, node(name, time.Duration(i)*time.Minute))
		claims = append(claims, claim(name, "spot", "0.0312", up...))
		for j := range 20 {
			pods = append(pods, pod(fmt.Sprintf("%s-%d", name, j), name, "90m"))
		}
	}
	for b.Loop() {
		v := nodes.New(all, claims, pods, now)
		if err := v.Order("cpu"); err != nil {
			b.Fatal(err)
		}
		v.Frame(now, 120, 50, 0, "q quit")
	}
}
