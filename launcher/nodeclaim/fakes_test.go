package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// fakeCloud is a cloud with behaviour: it keeps instances, buys one a claim, and takes
// its time to end them.
type fakeCloud struct {
	clock clock.PassiveClock

	mu          sync.Mutex
	instances   map[string]cloud.Instance
	calls       []string
	beforeBuy   error          // answered instead of buying
	afterBuy    error          // answered although bought: the answer was lost
	during      func()         // runs while a launch is under way
	unavailable []offering.Key // in answers to launches
	hidden      bool           // reads lag: they know of no instance
	lingers     bool           // instances that end keep shutting down
	room        *int           // how many instances a fleet gets, if not all
	fleets      sets.Set[string]
	impaired    map[string]cloud.Impairment
}

func (f *fakeCloud) add(in cloud.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instances == nil {
		f.instances = map[string]cloud.Instance{}
	}
	f.instances[in.ID] = in
}

// ids lists the instances that exist.
func (f *fakeCloud) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.instances {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// count tells how often a method was called.
func (f *fakeCloud) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == method {
			n++
		}
	}
	return n
}

func (f *fakeCloud) called(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
}

func (f *fakeCloud) set(change func(*fakeCloud)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeCloud) Resolve(context.Context, *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error) {
	return v1alpha1.EC2NodeClassStatus{}, errors.ErrUnsupported
}

func (f *fakeCloud) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	return nil, errors.ErrUnsupported
}

func (f *fakeCloud) Launch(_ context.Context, claim *v1alpha1.NodeClaim, _ *v1alpha1.EC2NodeClass) (cloud.Instance, error) {
	f.called("Launch")
	f.mu.Lock()
	during, beforeBuy, afterBuy, unavailable := f.during, f.beforeBuy, f.afterBuy, f.unavailable
	f.mu.Unlock()
	if during != nil {
		during()
	}
	if beforeBuy != nil {
		return cloud.Instance{}, beforeBuy
	}
	in := f.buy("i-"+claim.Name, claim)
	in.ClaimName, in.ClaimUID = claim.Name, string(claim.UID)
	f.add(in)
	in.Unavailable = unavailable
	return in, afterBuy
}

// buy makes an instance for a claim.
func (f *fakeCloud) buy(id string, claim *v1alpha1.NodeClaim) cloud.Instance {
	o := claim.Spec.Cheapest()
	return cloud.Instance{
		ID: id, ProviderID: "aws:///" + o.Zone + "/" + id, NodeName: "node-" + claim.Name,
		Type: o.InstanceType, Zone: o.Zone, CapacityType: o.CapacityType, ImageID: "ami-1", LaunchTime: f.clock.Now(),
	}
}

// LaunchFleet buys once a fleet, at most as many as the cloud has room for.
func (f *fakeCloud) LaunchFleet(_ context.Context, claims []*v1alpha1.NodeClaim, _ *v1alpha1.EC2NodeClass, taken sets.Set[string]) ([]cloud.Instance, error) {
	f.called("LaunchFleet")
	f.mu.Lock()
	during, beforeBuy, afterBuy := f.during, f.beforeBuy, f.afterBuy
	fleet := string(claims[0].Spec.Fleet.ID)
	f.mu.Unlock()
	if during != nil {
		during()
	}
	if beforeBuy != nil {
		return nil, beforeBuy
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if !f.fleets.Has(fleet) {
		if f.fleets == nil {
			f.fleets, f.instances = sets.New[string](), map[string]cloud.Instance{}
		}
		f.fleets.Insert(fleet)
		for n, claim := range claims {
			if f.room != nil && n >= *f.room {
				err = fmt.Errorf("launch fleet: %w", cloud.ErrCapacity)
				break
			}
			in := f.buy(fmt.Sprintf("i-%d", n), claim)
			in.FleetID = fleet
			f.instances[in.ID] = in
		}
	}
	if afterBuy != nil {
		return nil, afterBuy
	}
	var got []cloud.Instance
	for _, id := range slices.Sorted(maps.Keys(f.instances)) {
		if in := f.instances[id]; in.FleetID == fleet && !taken.Has(id) {
			got = append(got, in)
		}
	}
	return got[:min(len(got), len(claims))], err
}

func (f *fakeCloud) Get(_ context.Context, id string) (cloud.Instance, error) {
	f.called("Get")
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.instances[id]
	if !ok || f.hidden {
		return cloud.Instance{}, fmt.Errorf("instance %s: %w", id, cloud.ErrNotFound)
	}
	return in, nil
}

func (f *fakeCloud) List(context.Context) ([]cloud.Instance, error) {
	f.called("List")
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []cloud.Instance
	for _, in := range f.instances {
		if !f.hidden {
			all = append(all, in)
		}
	}
	return all, nil
}

func (f *fakeCloud) Impaired(context.Context) (map[string]cloud.Impairment, error) {
	f.called("Impaired")
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.impaired), nil
}

func (f *fakeCloud) Terminate(_ context.Context, id string) error {
	f.called("Terminate")
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.instances[id]
	switch {
	case !ok || f.hidden:
		return fmt.Errorf("instance %s: %w", id, cloud.ErrNotFound)
	case f.lingers:
		in.Terminating = true
		f.instances[id] = in
	default:
		delete(f.instances, id)
	}
	return nil
}

// fakeCatalog predicts 2 CPUs for m5.large and remembers what it is told.
type fakeCatalog struct {
	mu          sync.Mutex
	unavailable []offering.Key
	learnt      []string
	unknown     error // answered instead of types
	aliases     map[string]string
}

func (c *fakeCatalog) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	if c.unknown != nil {
		return nil, c.unknown
	}
	return []offering.Type{{Name: "m5.large", Aliases: c.aliases, Labels: map[string]string{
		v1alpha1.LabelInstanceFamily: "m5", corev1.LabelInstanceTypeStable: "m5.large",
	}, Allocatable: corev1.ResourceList{
		"cpu": resource.MustParse("2"), "nvidia.com/gpu": resource.MustParse("1"),
	}}}, nil
}

func (c *fakeCatalog) MarkUnavailable(keys ...offering.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unavailable = append(c.unavailable, keys...)
}

func (c *fakeCatalog) Learn(_ *v1alpha1.EC2NodeClass, typeName, imageID string, reported corev1.ResourceList) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnt = append(c.learnt, fmt.Sprintf("%s %s cpu %s", typeName, imageID, reported.Cpu()))
	return true
}

// fakeRecorder keeps the reasons of events.
type fakeRecorder struct {
	mu     sync.Mutex
	events []string
}

func (r *fakeRecorder) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s", strings.TrimPrefix(fmt.Sprintf("%T", regarding), "*v1alpha1."), reason))
}

func (r *fakeRecorder) count(event string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e == event {
			n++
		}
	}
	return n
}
