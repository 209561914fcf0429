package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// TestDeclaredFeatures: what the next node of a pool declares is what all that it has do.
func TestDeclaredFeatures(t *testing.T) {
	nodes := map[string]*framework.NodeInfo{}
	add := func(name, pool, version string, features ...string) {
		node := &corev1.Node{}
		node.Name, node.Labels = name, map[string]string{}
		if pool != "" {
			node.Labels[v1alpha1.LabelNodePool] = pool
		}
		node.Status.NodeInfo.KubeletVersion, node.Status.DeclaredFeatures = version, features
		nodes[name] = framework.NewNodeInfo()
		nodes[name].SetNode(node)
	}
	add("equal-1", "equal", "v1.36.3", "A", "B")
	add("equal-2", "equal", "v1.36.3", "A", "B")
	add("rolling-1", "rolling", "v1.36.3", "A", "B")
	add("rolling-2", "rolling", "v1.35.1", "A")
	add("starting-1", "starting", "v1.36.3", "A")
	add("starting-2", "starting", "")
	add("none", "", "v1.36.3", "A")
	want := map[string][]string{"equal": {"A", "B"}, "rolling": {"A"}, "starting": {"A"}}
	if diff := cmp.Diff(want, cluster.DeclaredFeatures(nodes)); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
}
