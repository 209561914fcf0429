package nodepool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("invalid nodepool configuration")

// Resolver finds what a class stands for. cloud.Provider is one.
type Resolver interface {
	// Resolve returns what it found, with a condition for each kind, also when some
	// kind was not found, which is an error. A status without conditions means that
	// nothing could be learnt. A nil class stands for the launcher's defaults.
	Resolve(ctx context.Context, class *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error)
}

// Catalog knows what nodes can be. offering.Catalog is one.
type Catalog interface {
	// Types lists what nodes of a class can be; a nil class stands for the defaults.
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)
}

// Config is what the controllers need. Zero durations take the default given with
// them; the rest is required.
type Config struct {
	Resolver Resolver
	Catalog  Catalog
	// Recorder writes events on NodePools and EC2NodeClasses.
	Recorder events.EventRecorder
	// Clock dates the conditions.
	Clock clock.PassiveClock

	// ResolveEvery is how old a class's resolution may get, and a pool's judgement. 5 min.
	ResolveEvery time.Duration
	// RetryEvery is when something that is not ready is looked at again. 30 s.
	RetryEvery time.Duration
	// CountEvery is how often a pool's resources are counted while its claims change. 1 s.
	CountEvery time.Duration
	// Timeout bounds one reconcile, calls to the cloud included. 1 min.
	Timeout time.Duration
}

// setDefaults fills in what was left zero and checks the rest.
func (c *Config) setDefaults() error {
	for _, required := range []struct {
		name    string
		missing bool
	}{
		{"Resolver", c.Resolver == nil},
		{"Catalog", c.Catalog == nil},
		{"Recorder", c.Recorder == nil},
		{"Clock", c.Clock == nil},
	} {
		if required.missing {
			return fmt.Errorf("%w: %s is missing", ErrConfig, required.name)
		}
	}
	for _, d := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"ResolveEvery", &c.ResolveEvery, 5 * time.Minute},
		{"RetryEvery", &c.RetryEvery, 30 * time.Second},
		{"CountEvery", &c.CountEvery, time.Second},
		{"Timeout", &c.Timeout, time.Minute},
	} {
		if *d.field < 0 {
			return fmt.Errorf("%w: %s %v is negative", ErrConfig, d.name, *d.field)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return nil
}
