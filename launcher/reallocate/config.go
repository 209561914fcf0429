package reallocate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/consolidate"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("invalid reallocate configuration")

// Resolver finds what a class stands for; a nil class stands for the launcher's defaults.
// cloud.Provider is one.
type Resolver interface {
	Resolve(ctx context.Context, class *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error)
}

// Config is what the slow loop needs. Zero counts and durations take the default given with them;
// the rest is required.
type Config struct {
	// Resolver says which images and networks nodes of the default class should have.
	Resolver Resolver
	// Recorder writes events on Nodes.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Metrics is where the package registers its metrics.
	Metrics prometheus.Registerer

	// Engines, by scheduler name, tell where pods fit, and Catalog what can be bought. Without
	// Engines no node is removed for being underutilized. They are used for nothing else.
	Engines map[string]*fit.Engine
	Catalog market.Catalog
	// ConsolidateEvery is how often the whole cluster is looked at for nodes whose end saves
	// money. 10 s.
	ConsolidateEvery time.Duration
	// MinAge is how old a node is at least when it is removed for that. 5 min.
	MinAge time.Duration
	// Terms are what that has to be worth. consolidate.DefaultTerms.
	Terms consolidate.Terms

	// Concurrency is how many nodes may be looked at and written about at once. 50.
	Concurrency int
	// SettleTime is how long a node has its taint before it is looked at for the last
	// time: a pod that the scheduler had placed before it saw the taint is bound by
	// then. 500 ms.
	SettleTime time.Duration
	// ReplaceWithin is how long a node may wait, tainted, for room for its pods' successors
	// until it is given back. 15 min.
	ReplaceWithin time.Duration
	// RestAfter is how long a node that was given back is left alone. 30 min.
	RestAfter time.Duration
	// Toleration is how long a node may be unhealthy until it is replaced. 30 min.
	Toleration time.Duration
	// RetryBlocked is how often a removal that a budget forbids is tried again, besides
	// whenever a node of the pool is gone. 10 s.
	RetryBlocked time.Duration
}

// setDefaults fills in what was left zero and checks the rest.
func (c *Config) setDefaults() error {
	for _, required := range []struct {
		name    string
		missing bool
	}{
		{"Resolver", c.Resolver == nil},
		{"Recorder", c.Recorder == nil},
		{"Clock", c.Clock == nil},
		{"Metrics", c.Metrics == nil},
		{"Catalog", c.Catalog == nil && len(c.Engines) > 0},
	} {
		if required.missing {
			return fmt.Errorf("%w: %s is missing", ErrConfig, required.name)
		}
	}
	if c.Concurrency < 0 {
		return fmt.Errorf("%w: Concurrency is %d, want at least 1", ErrConfig, c.Concurrency)
	}
	if c.Concurrency == 0 {
		c.Concurrency = 50
	}
	if c.Terms == (consolidate.Terms{}) {
		c.Terms = consolidate.DefaultTerms()
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"SettleTime", &c.SettleTime, 500 * time.Millisecond},
		{"ReplaceWithin", &c.ReplaceWithin, 15 * time.Minute},
		{"RestAfter", &c.RestAfter, 30 * time.Minute},
		{"Toleration", &c.Toleration, 30 * time.Minute},
		{"RetryBlocked", &c.RetryBlocked, 10 * time.Second},
		{"ConsolidateEvery", &c.ConsolidateEvery, 10 * time.Second},
		{"MinAge", &c.MinAge, 5 * time.Minute},
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
