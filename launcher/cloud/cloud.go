// Package cloud owns the seam between the launcher and the cloud: a small Provider
// interface with typed errors. cloud/ec2 is its implementation for AWS,
// cloud/cloudtest the conformance suite every implementation must pass.
package cloud

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// The kinds of failure a caller can act on. Errors returned by a Provider wrap at
// most one of them; test with errors.Is.
var (
	// ErrCapacity: the cloud has none of what was asked for. See CapacityError.
	ErrCapacity = errors.New("insufficient capacity")
	// ErrThrottled: asked too often; retry later.
	ErrThrottled = errors.New("throttled")
	// ErrBusy: the cloud took the request on and was too busy, or failed, each time it could be
	// made. Nothing was bought, and nothing is known of capacity; another claim may be luckier.
	ErrBusy = errors.New("the cloud is busy")
	// ErrDenied: the credentials lack a permission.
	ErrDenied = errors.New("permission denied")
	// ErrNotFound: there is no such thing (any more).
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request can never succeed as it is.
	ErrInvalid = errors.New("invalid")
)

// CapacityError says which offerings the cloud had none of. It wraps ErrCapacity.
type CapacityError struct {
	Offerings []offering.Key
	Err       error // the cloud's own words
}

func (e *CapacityError) Error() string { return "insufficient capacity: " + e.Err.Error() }

// Unwrap makes errors.Is(err, ErrCapacity) true.
func (e *CapacityError) Unwrap() []error { return []error{ErrCapacity, e.Err} }

// Provider buys and returns instances. Implementations are safe for concurrent use
// and bound every call in time.
//
// A nil class stands for the launcher's defaults.
type Provider interface {
	// Resolve finds what a class stands for: subnets, security groups, images.
	Resolve(ctx context.Context, class *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error)

	// Types lists what nodes of the class can be, with all their offerings.
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)

	// Launch buys one instance for the claim. It is idempotent by the claim's UID:
	// called again after a crash it returns the same instance. An error that wraps
	// ErrCapacity, ErrBusy, ErrDenied or ErrInvalid means that nothing was bought under
	// this claim and nothing will be; where the outcome of an earlier call is unknown, that
	// holds of claims older than a minute only, and once the cloud's reads must show what
	// was bought: from that age on it is looked for first.
	// The Instance may come with a *CapacityError-free nil error although some
	// offerings had no capacity; those are in Instance.Unavailable.
	Launch(ctx context.Context, claim *v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass) (Instance, error)

	// LaunchFleet buys an instance for each of the claims, which are of one fleet
	// (NodeClaimSpec.Fleet), with one call, and returns what it got, at most one a claim; all or
	// none where the fleet is to be whole. It is
	// idempotent by the fleet: called again, for fewer claims or by another process, it
	// returns those that were bought before and are not taken, and buys nothing unless
	// nothing was. Where that is why there are too few, the error is nil, and the
	// other claims are to be launched alone. Else the error says why; one that wraps
	// ErrCapacity, ErrBusy, ErrDenied or ErrInvalid means that nothing was bought for the other
	// claims and nothing will be, as with Launch.
	LaunchFleet(ctx context.Context, claims []*v1alpha1.NodeClaim, class *v1alpha1.EC2NodeClass, taken sets.Set[string]) ([]Instance, error)

	// Get reads one instance by id; ErrNotFound when it is gone or terminated.
	Get(ctx context.Context, id string) (Instance, error)

	// List reads all instances of this cluster that are not terminated.
	List(ctx context.Context) ([]Instance, error)

	// Impaired finds the instances that fail a check of the cloud, by id. It may name
	// instances of others.
	Impaired(ctx context.Context) (map[string]Impairment, error)

	// Terminate asks for an instance's end; ErrNotFound when it is gone already.
	Terminate(ctx context.Context, id string) error
}

// Impairment is a check of the cloud that an instance fails.
type Impairment struct {
	Check string    // for people, such as "system status check"
	Since time.Time // zero where the cloud does not say
}

// Instance is one machine.
type Instance struct {
	ID           string
	ProviderID   string // as in node.spec.providerID
	NodeName     string // the name its Node will have
	Type         string
	Zone         string
	CapacityType string
	// ReservationID is the capacity reservation it was launched into, if it is reserved.
	ReservationID string
	ImageID       string
	// SubnetID and SecurityGroups (ids, sorted) are known of instances that were read, not of
	// those just bought.
	SubnetID       string
	SecurityGroups []string
	ClaimName      string // from its tags; empty when it carries none
	ClaimUID       string
	// FleetID is that of the claims it was bought for, where it was bought for one of several.
	FleetID     string
	LaunchTime  time.Time
	Terminating bool // shutting down
	// Unavailable lists offerings that had no capacity when this one was bought.
	Unavailable []offering.Key
}
