package nodeclaim

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

func TestCollectInstances(t *testing.T) {
	fleet := func(id types.UID) *v1alpha1.Fleet { return &v1alpha1.Fleet{ID: id, Size: 2} }
	w := newWorld(t, newClaim(nil),
		newClaim(func(c *v1alpha1.NodeClaim) { c.Name, c.UID, c.Spec.Fleet = "b", "uid-b", fleet("fleet-1") }),
		newClaim(func(c *v1alpha1.NodeClaim) {
			c.Name, c.UID, c.Spec.Fleet, c.Status.InstanceID = "c", "uid-c", fleet("fleet-2"), "i-fleet-has"
		}),
		newClaim(func(c *v1alpha1.NodeClaim) { c.Name, c.UID, c.Status.InstanceID = "d", "uid-d", "i-has" }))
	old := w.clock.Now().Add(-time.Hour)
	for _, in := range []cloud.Instance{
		{ID: "i-kept", ClaimUID: "uid-a", LaunchTime: old},
		{ID: "i-orphan", ClaimUID: "uid-gone", LaunchTime: old},
		{ID: "i-same-name", ClaimName: "a", ClaimUID: "uid-of-an-earlier-a", LaunchTime: old},
		{ID: "i-has", ClaimUID: "uid-d", LaunchTime: old},
		{ID: "i-second", ClaimUID: "uid-d", LaunchTime: old},
		{ID: "i-young", ClaimUID: "uid-gone-too", LaunchTime: w.clock.Now().Add(-30 * time.Second)},
		{ID: "i-untagged", LaunchTime: old},
		{ID: "i-fleet-waits", FleetID: "fleet-1", LaunchTime: old},
		{ID: "i-fleet-has", FleetID: "fleet-2", LaunchTime: old},
		{ID: "i-fleet-spare", FleetID: "fleet-2", LaunchTime: old},
		{ID: "i-fleet-gone", FleetID: "fleet-3", LaunchTime: old},
	} {
		w.cloud.add(in)
	}
	if err := w.collect.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"i-fleet-has", "i-fleet-waits", "i-has", "i-kept", "i-untagged", "i-young"}, w.cloud.ids()); diff != "" {
		t.Errorf("instances left (-want +got):\n%s", diff)
	}
}

func TestCollectClaims(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
		gone   bool
	}{
		{name: "instance gone", change: func(w *world) { w.cloud.instances = nil }, gone: true},
		{name: "instance runs", change: func(*world) {}},
		{name: "list left it out once", change: func(w *world) { w.cloud.hidden = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(launched))
			w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a"})
			tt.change(w)
			if err := w.collect.collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.claim().DeletionTimestamp != nil {
				t.Fatal("deleted at first sight")
			}
			w.cloud.hidden = false
			if err := w.collect.collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			claim := w.claim()
			if gone := claim.DeletionTimestamp != nil; gone != tt.gone {
				t.Errorf("deleted: %v, want %v", gone, tt.gone)
			}
			if tt.gone && condition(claim, v1alpha1.ConditionInstanceTerminated) != "True InstanceGone" {
				t.Errorf("conditions %v", claim.Status.Conditions)
			}
		})
	}
}

func TestCollectSparesYoungClaim(t *testing.T) {
	w := newWorld(t, newClaim(nil))
	w.reconcile(w.launch, "a")
	w.cloud.hidden = true
	for range 3 {
		if err := w.collect.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if w.claim().DeletionTimestamp != nil {
		t.Error("claim deleted before the cloud's reads must know of its instance")
	}
}

func TestCollectNodes(t *testing.T) {
	now := metav1.Now()
	leaving := func(name, id string) *corev1.Node {
		return newNode(func(n *corev1.Node) {
			n.Name, n.UID, n.Spec.ProviderID = name, "", id
			n.Finalizers, n.DeletionTimestamp = []string{v1alpha1.TerminationFinalizer}, &now
		})
	}
	w := newWorld(t, newClaim(launched), leaving("node-a", "aws:///us-east-1a/i-a"), leaving("node-b", "aws:///us-east-1a/i-b"), leaving("node-c", "aws:///us-east-1a/i-c"))
	w.cloud.add(cloud.Instance{ID: "i-c", ProviderID: "aws:///us-east-1a/i-c", LaunchTime: w.clock.Now()})
	if err := w.collect.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.node("node-a") == nil || w.node("node-b") != nil || w.node("node-c") == nil {
		t.Errorf("a %v, b %v, c %v", w.node("node-a"), w.node("node-b"), w.node("node-c"))
	}
}

func TestCollectorRunsAtOnceThenPeriodically(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.collect.Start(ctx) }()
	for round := 1; round <= 3; round++ {
		eventually(t, func() bool { return w.cloud.count("List") == round && w.clock.HasWaiters() })
		w.clock.Step(w.collect.every)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, met func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not met in 30 s")
		}
	}
}

func TestNetworksAreNoted(t *testing.T) {
	w := newWorld(t, newClaim(launched))
	in := cloud.Instance{ID: "i-a", ClaimUID: "uid-a", LaunchTime: w.clock.Now(), SubnetID: "subnet-1", SecurityGroups: []string{"sg-1", "sg-2"}}
	for _, groups := range [][]string{{"sg-1", "sg-2"}, {"sg-3"}} {
		in.SecurityGroups = groups
		w.cloud.add(in)
		if err := w.collect.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := w.claim().Status; s.SubnetID != "subnet-1" || !slices.Equal(s.SecurityGroups, groups) {
			t.Errorf("noted %s, %v; want %v", s.SubnetID, s.SecurityGroups, groups)
		}
	}
	version := w.claim().ResourceVersion
	if err := w.collect.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.claim().ResourceVersion != version {
		t.Error("written although nothing changed")
	}
}
