// Package cloudtest owns the conformance suite of package cloud: what every Provider
// must do, whatever the cloud behind it.
//
// A provider's own test calls Run with a function that sets up an empty cloud.
package cloudtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Harness is one empty cloud and a Provider that uses it. All fields are required.
type Harness struct {
	Provider cloud.Provider
	// Restart returns a Provider on the same cloud that remembers nothing, as
	// after a crash.
	Restart func() cloud.Provider
	// Offerings are two that the cloud has, of different types and zones and of one
	// capacity type, the cheaper first.
	Offerings [2]v1alpha1.AcceptedOffering
	// UnknownID looks like an instance's id and is none.
	UnknownID string
	// Leave leaves each of these offerings room for so many instances.
	Leave func(instances int, of ...offering.Key)
	// Impair has a running instance fail a check of the cloud, or fail none.
	Impair func(id string, fails bool) error
	// Break makes launches fail in a way until Mend.
	Break func(Failure)
	Mend  func()
}

// Failure is a way in which the cloud refuses to launch.
type Failure int

// The failures a Harness can cause.
const (
	Denied     Failure = iota // the credentials lack the permission to launch
	Throttled                 // too many calls
	LostAnswer                // the launch happens, the answer is lost
)

// patience bounds how long a test waits for the cloud's reads to catch up.
const patience = 30 * time.Second

// eventually calls f until it returns nil: the reads of a cloud lag behind.
func eventually(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// claim returns a new claim for the offerings.
func claim(name string, offerings ...v1alpha1.AcceptedOffering) *v1alpha1.NodeClaim {
	return &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.NodeClaimSpec{
			NodePool:  "general",
			Offerings: v1alpha1.GroupOfferings(offerings...),
			Labels:    map[string]string{"team": "blue"},
			Taints:    []corev1.Taint{{Key: "dedicated", Value: "blue", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
}

// fleet returns n new claims of one fleet for the offerings.
func fleet(n int, offerings ...v1alpha1.AcceptedOffering) []*v1alpha1.NodeClaim {
	of := &v1alpha1.Fleet{ID: uuid.NewUUID(), Size: int32(n)} //nolint:gosec // G115: small
	var claims []*v1alpha1.NodeClaim
	for i := range n {
		c := claim(fmt.Sprintf("of-fleet-%d", i), offerings...)
		c.Spec.Fleet = of
		claims = append(claims, c)
	}
	return claims
}

func mustLaunchFleet(t *testing.T, p cloud.Provider, claims []*v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, taken ...string) []cloud.Instance {
	t.Helper()
	got, err := p.LaunchFleet(t.Context(), claims, class, sets.New(taken...))
	if err != nil {
		t.Fatalf("LaunchFleet of %d: %v", len(claims), err)
	}
	return got
}

// ids are sorted.
func ids(instances []cloud.Instance) []string {
	var all []string
	for _, i := range instances {
		all = append(all, i.ID)
	}
	slices.Sort(all)
	return all
}

func keyOf(o v1alpha1.AcceptedOffering) offering.Key {
	return offering.Key{InstanceType: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType}
}

func offeringOf(i cloud.Instance) offering.Key {
	return offering.Key{InstanceType: i.Type, Zone: i.Zone, CapacityType: i.CapacityType}
}

func mustLaunch(t *testing.T, p cloud.Provider, c *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) cloud.Instance {
	t.Helper()
	i, err := p.Launch(t.Context(), c, class)
	if err != nil {
		t.Fatalf("Launch(%s): %v", c.Name, err)
	}
	return i
}

// live reads the instances that are not on their way out, by id.
func live(ctx context.Context, p cloud.Provider) (map[string]cloud.Instance, error) {
	list, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]cloud.Instance{}
	for _, i := range list {
		if _, twice := byID[i.ID]; twice {
			return nil, fmt.Errorf("instance %s is listed twice", i.ID)
		}
		if !i.Terminating {
			byID[i.ID] = i
		}
	}
	return byID, nil
}

// mustList waits until exactly these instances are listed.
func mustList(t *testing.T, p cloud.Provider, want ...cloud.Instance) {
	t.Helper()
	eventually(t, "List", func(ctx context.Context) error {
		got, err := live(ctx, p)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d instances listed, want %d", len(got), len(want))
		}
		for _, w := range want {
			if _, ok := got[w.ID]; !ok {
				return fmt.Errorf("%s is not listed", w.ID)
			}
		}
		return nil
	})
}

// wantOne fails unless err is of the wanted kind and of no other.
func wantOne(t *testing.T, err, want error) {
	t.Helper()
	for _, kind := range []error{cloud.ErrCapacity, cloud.ErrThrottled, cloud.ErrBusy, cloud.ErrDenied, cloud.ErrNotFound, cloud.ErrInvalid} {
		if got := errors.Is(err, kind); got != errors.Is(want, kind) {
			t.Errorf("error %q: is %q = %v", err, kind, got)
		}
	}
}

// class returns a class that differs from the defaults in one tag.
func class(tag string) *v1alpha1.EC2NodeClass {
	return &v1alpha1.EC2NodeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "tagged", UID: types.UID("class"), Generation: 1},
		Spec:       v1alpha1.EC2NodeClassSpec{Tags: map[string]string{"example.com/edition": tag}},
	}
}
