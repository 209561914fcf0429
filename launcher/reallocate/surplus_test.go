package reallocate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// fixed makes a pool of one node.
func fixed(p *v1alpha1.NodePool) { p.Spec.Replicas = new(int64(1)) }

func TestEmptyNodeOfFixedPoolStays(t *testing.T) {
	w := newWorld(t, append(nodeOf("a"), newPool(fixed))...)
	w.look("a")
	w.lookAfter(time.Hour, "a")
	w.expect("a", "True NoPods")
}

func TestSurplusNodeGoes(t *testing.T) {
	objs := append(nodeOf("a"), newPool(fixed), newPod("p", "node-a", nil))
	claim := objs[0].(*v1alpha1.NodeClaim)
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSurplus, Status: metav1.ConditionTrue, Reason: "MoreThanReplicas"})
	w := newWorld(t, objs...)
	w.look("a")
	w.says(v1alpha1.ConditionSurplus, "True Disrupting: more than the 1 nodes that its pool wants; being removed")
	w.lookAfter(time.Second, "a")
	w.expect("a", "occupied tainted") // there is no room for its pod's successor yet
	w.replace(metav1.ConditionTrue)
	w.look("a")
	w.expect("a", "occupied tainted deleted")
}

// TestSubstituteComesFirst: a node of a pool of a fixed size is replaced by the pool's, pods or
// no pods.
func TestSubstituteComesFirst(t *testing.T) {
	replaced := func(p *v1alpha1.NodePool) { fixed(p); expiring(p) }
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(replaced))...)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	if wait := w.lookAfter(time.Second, "a"); wait <= 0 {
		t.Error("waits for nothing")
	}
	w.expect("a", "occupied tainted")
	for _, o := range nodeOf("b") {
		w.create(o)
	}
	w.look("a")
	w.expect("a", "occupied tainted deleted")
}

func TestNoSubstituteInTime(t *testing.T) {
	replaced := func(p *v1alpha1.NodePool) { fixed(p); expiring(p) }
	w := newWorld(t, append(aged(2*time.Hour, "a"), newPool(replaced))...)
	w.look("a")
	w.replace(metav1.ConditionTrue)
	w.lookAfter(time.Second, "a")
	w.lookAfter(15*time.Minute, "a")
	w.says(v1alpha1.ConditionExpired,
		"True NotReplaced: older than its pool's expireAfter, 1h0m0s; its replacement was not ready within 15m0s: its pool has 0 of its 1 other nodes")
}

func TestLimitThatAllowsNoSubstitute(t *testing.T) {
	limited := func(p *v1alpha1.NodePool) {
		fixed(p)
		expiring(p)
		p.Spec.Limits = corev1.ResourceList{"nodes": resource.MustParse("1")}
	}
	w := newWorld(t, append(aged(2*time.Hour, "a"), client.Object(newPool(limited)))...)
	w.look("a")
	w.says(v1alpha1.ConditionExpired, "True BlockedByLimits: older than its pool's expireAfter, 1h0m0s; "+
		"pool default has no room for another node first: limits.nodes is 1, replicas is 1")
}

// TestPoolNoLongerFixedDuringRemoval: a surplus node is any node again.
func TestPoolNoLongerFixedDuringRemoval(t *testing.T) {
	objs := append(nodeOf("a"), newPool(fixed), newPod("p", "node-a", nil))
	claim := objs[0].(*v1alpha1.NodeClaim)
	meta.SetStatusCondition(&claim.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSurplus, Status: metav1.ConditionTrue, Reason: "MoreThanReplicas"})
	w := newWorld(t, objs...)
	w.look("a")
	w.expect("a", "occupied tainted")
	w.changePool(func(p *v1alpha1.NodePool) { p.Spec.Replicas = nil })
	w.look("a")
	w.expect("a", "occupied")
	w.says(v1alpha1.ConditionSurplus, "False NotSurplus: holds no more")
}
