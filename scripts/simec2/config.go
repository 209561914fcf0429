package simec2

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"k8s.io/utils/clock"
)

// Config describes the region. The zero value is valid: every field has the
// default its comment names.
type Config struct {
	// Listen is the loopback address to serve on; default 127.0.0.1:0.
	Listen string
	// Region is the region's name; default us-east-1. Its zones are the
	// letters a, b and c.
	Region string
	// ClusterName is what subnets and the security group are tagged as owned
	// by; default slipway-dev.
	ClusterName string
	// QueueName is that of the SQS queue which hears of what happens to instances;
	// default the cluster's name.
	QueueName string
	// KubernetesVersion is the minor version that the recommended images are
	// published for; default 1.36.
	KubernetesVersion string
	// ImageReleases are the published releases of the node images, oldest
	// first; default v20260701 and v20260722. The last is the recommended one.
	ImageReleases []string

	// Parameters are SSM parameters besides those that name published images.
	Parameters map[string]string

	// BootDelay is the time from launch until an instance is running and its
	// kubelet may start; default 0.
	BootDelay time.Duration
	// ShutdownDelay is the time an instance is shutting down; default 0.
	ShutdownDelay time.Duration
	// TerminatedRetention is how long terminated instances are still
	// described; default one hour.
	TerminatedRetention time.Duration
	// ReadLag is how long a write stays invisible to Describe calls; nil
	// means 200 ms.
	ReadLag *time.Duration
	// Unthrottled turns the request token buckets off.
	Unthrottled bool

	// SpotPricesMove is how often spot prices take a step; default 0: they stand still.
	SpotPricesMove time.Duration

	// Capacity limits how many instances can run; pools without a rule have
	// room for any number.
	Capacity []CapacityRule
	// Reservations are the capacity reservations; see Server.SetReservations.
	Reservations []CapacityReservation
	// Roles are IAM roles that exist besides slipway-node-CLUSTER, which has an
	// instance profile of that name.
	Roles []string
	// Faults are injected from the start; see InjectFault.
	Faults []Fault

	// Seed makes ids and fault draws repeatable.
	Seed uint64
	// Clock is the region's time; default the real clock.
	Clock clock.WithTicker
	// Logger receives a line per instance event; default none.
	Logger *slog.Logger
	// CallLogSize bounds the log of API calls, the oldest being dropped;
	// default 20,000.
	CallLogSize int
}

const defaultReadLag = 200 * time.Millisecond

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Listen, "127.0.0.1:0")
	setDefault(&c.Region, "us-east-1")
	setDefault(&c.ClusterName, "slipway-dev")
	setDefault(&c.QueueName, c.ClusterName)
	setDefault(&c.KubernetesVersion, "1.36")
	setDefault(&c.TerminatedRetention, time.Hour)
	setDefault(&c.CallLogSize, 20_000)
	if c.ReadLag == nil {
		lag := defaultReadLag
		c.ReadLag = &lag
	}
	if len(c.ImageReleases) == 0 {
		c.ImageReleases = []string{"v20260701", "v20260722"}
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c, fmt.Errorf("listen address %q: %w", c.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return c, fmt.Errorf("listen address %q: not a loopback address", c.Listen)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"boot delay", c.BootDelay}, {"shutdown delay", c.ShutdownDelay}, {"read lag", *c.ReadLag}, {"movement of spot prices", c.SpotPricesMove}} {
		if d.d < 0 {
			return c, fmt.Errorf("%s %v: negative", d.name, d.d)
		}
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
