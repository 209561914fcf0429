package reallocate

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
)

// ErrConfig is wrapped by every complaint about a Config.
var ErrConfig = errors.New("invalid reallocate configuration")

// Config is what the slow loop needs. Zero counts and durations take the default given with them;
// the rest is required.
type Config struct {
	// Recorder writes events on Nodes.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Metrics is where the package registers its metrics.
	Metrics prometheus.Registerer

	// Concurrency is how many nodes may be looked at and written about at once. 50.
	Concurrency int
	// SettleTime is how long a node has its taint before it is looked at for the last
	// time: a pod that the scheduler had placed before it saw the taint is bound by
	// then. 500 ms.
	SettleTime time.Duration
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
		{"Recorder", c.Recorder == nil},
		{"Clock", c.Clock == nil},
		{"Metrics", c.Metrics == nil},
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
	for _, d := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"SettleTime", &c.SettleTime, 500 * time.Millisecond},
		{"RetryBlocked", &c.RetryBlocked, 10 * time.Second},
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
