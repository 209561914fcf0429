package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("invalid nodeclaim configuration")

// Catalog is told what launches and nodes teach about offerings. offering.Catalog is one.
type Catalog interface {
	// Types lists what nodes of a class can be; a nil class stands for the defaults.
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error)
	// MarkUnavailable records that the cloud has none of these for the moment.
	MarkUnavailable(keys ...offering.Key)
	// Learn compares what a node of the type, run from the image with the class's settings,
	// reported with what was predicted, and returns whether it is less.
	Learn(class *v1alpha1.EC2NodeClass, typeName, imageID string, reported corev1.ResourceList) bool
}

// Config is what the lifecycle of NodeClaims needs. Zero durations and counts take the
// default given with them; the rest is required.
type Config struct {
	// Provider buys and returns instances.
	Provider cloud.Provider
	// Catalog learns from launches and nodes.
	Catalog Catalog
	// Recorder writes events on NodeClaims and Nodes.
	Recorder events.EventRecorder
	// Clock tells the time and makes the garbage collector's ticks.
	Clock clock.WithTicker
	// Notices says what the cloud will do to instances; nil where nobody says.
	Notices Notices
	// Metrics is where the package registers its metrics.
	Metrics prometheus.Registerer

	// LaunchConcurrency is how many launches may wait for the cloud at once. 50.
	LaunchConcurrency int
	// TerminationConcurrency is how many claims may be drained and terminated at once. 50.
	TerminationConcurrency int

	// MaxLaunchesPerMinute is how many nodes are bought within any minute at most; 0 means no bound.
	MaxLaunchesPerMinute int

	// LaunchTimeout is how old a claim may get without an instance. 5 min.
	LaunchTimeout time.Duration
	// RegistrationTimeout is how long an instance may take to register its Node. 15 min.
	RegistrationTimeout time.Duration
	// InitializationTimeout is how long a registered Node may take to be ready for pods. 15 min.
	InitializationTimeout time.Duration
	// CollectEvery is the garbage collector's period. 2 min.
	CollectEvery time.Duration
	// OrphanAge is how old an instance without a claim must be to be collected. 1 min.
	OrphanAge time.Duration
	// SettleTime is how long the cloud's reads may lag behind its writes: before it has
	// passed, that an instance is not found proves nothing. 30 s.
	SettleTime time.Duration
}

// setDefaults fills in what was left zero and checks the rest.
func (c *Config) setDefaults() error {
	for _, required := range []struct {
		name    string
		missing bool
	}{
		{"Provider", c.Provider == nil},
		{"Catalog", c.Catalog == nil},
		{"Recorder", c.Recorder == nil},
		{"Clock", c.Clock == nil},
		{"Metrics", c.Metrics == nil},
	} {
		if required.missing {
			return fmt.Errorf("%w: %s is missing", ErrConfig, required.name)
		}
	}
	for _, n := range []struct {
		name   string
		value  *int
		preset int
	}{
		{"LaunchConcurrency", &c.LaunchConcurrency, 50},
		{"TerminationConcurrency", &c.TerminationConcurrency, 50},
	} {
		if *n.value < 0 {
			return fmt.Errorf("%w: %s is %d, want at least 1", ErrConfig, n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.preset
		}
	}
	if c.MaxLaunchesPerMinute < 0 {
		return fmt.Errorf("%w: MaxLaunchesPerMinute is %d, want at least 0", ErrConfig, c.MaxLaunchesPerMinute)
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"LaunchTimeout", &c.LaunchTimeout, 5 * time.Minute},
		{"RegistrationTimeout", &c.RegistrationTimeout, 15 * time.Minute},
		{"InitializationTimeout", &c.InitializationTimeout, 15 * time.Minute},
		{"CollectEvery", &c.CollectEvery, 2 * time.Minute},
		{"OrphanAge", &c.OrphanAge, time.Minute},
		{"SettleTime", &c.SettleTime, 30 * time.Second},
	} {
		if *d.value < 0 {
			return fmt.Errorf("%w: %s is %s, want more than 0", ErrConfig, d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.preset
		}
	}
	return nil
}
