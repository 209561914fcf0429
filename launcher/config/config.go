// Package config owns the launcher's configuration file: its fields, defaults and validation.
package config

import (
	"fmt"
	"net"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Config is the content of the file given with --config.
type Config struct {
	// Cluster is what the launched instances join.
	Cluster Cluster `json:"cluster"`
	AWS     AWS     `json:"aws,omitzero"`
	// GRPC is where the schedulers call.
	GRPC GRPC `json:"grpc"`
	// SchedulerConfigFile is the KubeSchedulerConfiguration that slipway-scheduler runs
	// with: its profiles and plugins decide what fits.
	SchedulerConfigFile string `json:"schedulerConfigFile"`
	// MetricsAddress and HealthAddress are host:port; "0" turns a listener off.
	MetricsAddress string         `json:"metricsAddress,omitempty"` // default :8080
	HealthAddress  string         `json:"healthAddress,omitempty"`  // default :8081
	LeaderElection LeaderElection `json:"leaderElection,omitzero"`
	Batch          Batch          `json:"batch,omitzero"`
	NodeClaims     NodeClaims     `json:"nodeClaims,omitzero"`
	// KarpenterLabels gives nodes their labels under Karpenter's keys as well (karpenter.sh/nodepool,
	// karpenter.sh/capacity-type, karpenter.k8s.aws/instance-family and so on), for pods that select by them.
	KarpenterLabels bool          `json:"karpenterLabels,omitempty"`
	Repair          Repair        `json:"repair,omitzero"`
	Consolidation   Consolidation `json:"consolidation,omitzero"`
	// UnavailableFor is how long an offering that had no capacity is left alone; default 3m.
	UnavailableFor metav1.Duration `json:"unavailableFor,omitzero"`
	// Client bounds the launcher's requests to the API server.
	Client Client `json:"client,omitzero"`
}

// Cluster is what an instance must know to join.
type Cluster struct {
	Name string `json:"name"`
	// Endpoint is the API server's URL; by default the one the launcher itself uses.
	Endpoint string `json:"endpoint,omitempty"`
	// CAFile holds the API server's CA; by default the one the launcher itself trusts.
	CAFile      string `json:"caFile,omitempty"`
	ServiceCIDR string `json:"serviceCIDR"`
	// KubeVersion such as "1.36" chooses the image; by default the API server's.
	KubeVersion string `json:"kubeVersion,omitempty"`
}

// AWS is how EC2 is reached. Credentials come from the SDK's default chain.
type AWS struct {
	Region string `json:"region,omitempty"` // default: from the environment
	// InstanceProfile of nodes whose class names none; default slipway-node-CLUSTER.
	InstanceProfile string `json:"instanceProfile,omitempty"`
	// InterruptionQueue is the name of the SQS queue that EventBridge sends notices about
	// instances to; without it nodes are not replaced before AWS takes them back.
	InterruptionQueue string `json:"interruptionQueue,omitempty"`
}

// GRPC is the listener for schedulers: mutual TLS, no other.
type GRPC struct {
	Address      string `json:"address,omitempty"` // default :9443
	CertFile     string `json:"certFile"`
	KeyFile      string `json:"keyFile"`
	ClientCAFile string `json:"clientCAFile"`
}

// LeaderElection chooses the one launcher that acts.
type LeaderElection struct {
	Namespace     string          `json:"namespace,omitempty"`    // default kube-system
	Name          string          `json:"name,omitempty"`         // default slipway-launcher
	LeaseDuration metav1.Duration `json:"leaseDuration,omitzero"` // default 15s
	RenewDeadline metav1.Duration `json:"renewDeadline,omitzero"` // default 10s
	RetryPeriod   metav1.Duration `json:"retryPeriod,omitzero"`   // default 2s
}

// Batch says how long pods are gathered before they are planned for. A batch whose
// owners' replicas have all come is closed at once.
type Batch struct {
	Idle    metav1.Duration `json:"idle,omitzero"`    // default 100ms
	Longest metav1.Duration `json:"longest,omitzero"` // default 1s
}

// NodeClaims bounds their lifecycle.
type NodeClaims struct {
	LaunchTimeout       metav1.Duration `json:"launchTimeout,omitzero"`       // default 5m
	RegistrationTimeout metav1.Duration `json:"registrationTimeout,omitzero"` // default 15m
	// InitializationTimeout is from the registration until the node is ready for pods; default 15m.
	InitializationTimeout metav1.Duration `json:"initializationTimeout,omitzero"`
	// MaxLaunchesPerMinute is how many nodes are bought within any minute at most, whatever wants
	// them; 0 means no bound, the default is 2000.
	MaxLaunchesPerMinute *int `json:"maxLaunchesPerMinute,omitempty"`
	// CollectEvery is the garbage collector's period; default 2m.
	CollectEvery metav1.Duration `json:"collectEvery,omitzero"`
}

// Repair is about nodes that were ready once and are broken.
type Repair struct {
	// Toleration is how long a node may be not ready, or fail a check of EC2, until it is
	// replaced; default 30m. Budgets for the reason Unhealthy bound, or forbid, it by pool.
	Toleration metav1.Duration `json:"toleration,omitzero"`
}

// Consolidation paces the removal of underutilized nodes.
type Consolidation struct {
	// Every is how often the whole cluster is looked at; default 10s.
	Every metav1.Duration `json:"every,omitzero"`
	// MinAge is how old a node is at least when it goes; default 5m.
	MinAge metav1.Duration `json:"minAge,omitzero"`
}

// Client bounds requests a second to the API server.
type Client struct {
	QPS   float32 `json:"qps,omitempty"`   // default 500
	Burst int     `json:"burst,omitempty"` // default 1000
}

// Load reads, defaults and validates a file. An error names each field that is wrong.
func Load(file string) (*Config, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c := &Config{}
	if err := yaml.UnmarshalStrict(raw, c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	c.setDefaults()
	if err := c.validate().ToAggregate(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	return c, nil
}

func (c *Config) setDefaults() {
	for _, s := range []struct {
		field *string
		value string
	}{
		{&c.MetricsAddress, ":8080"}, {&c.HealthAddress, ":8081"}, {&c.GRPC.Address, ":9443"},
		{&c.LeaderElection.Namespace, "kube-system"}, {&c.LeaderElection.Name, "slipway-launcher"},
	} {
		if *s.field == "" {
			*s.field = s.value
		}
	}
	for _, d := range c.durations() {
		if d.field.Duration == 0 {
			d.field.Duration = d.value
		}
	}
	if c.NodeClaims.MaxLaunchesPerMinute == nil {
		c.NodeClaims.MaxLaunchesPerMinute = new(2000)
	}
	if c.Client.QPS == 0 {
		c.Client.QPS = 500
	}
	if c.Client.Burst == 0 {
		c.Client.Burst = 1000
	}
}

type duration struct {
	path  *field.Path
	field *metav1.Duration
	value time.Duration // default
}

func (c *Config) durations() []duration {
	election, batch, claims := field.NewPath("leaderElection"), field.NewPath("batch"), field.NewPath("nodeClaims")
	consolidation := field.NewPath("consolidation")
	return []duration{
		{election.Child("leaseDuration"), &c.LeaderElection.LeaseDuration, 15 * time.Second},
		{election.Child("renewDeadline"), &c.LeaderElection.RenewDeadline, 10 * time.Second},
		{election.Child("retryPeriod"), &c.LeaderElection.RetryPeriod, 2 * time.Second},
		{batch.Child("idle"), &c.Batch.Idle, 100 * time.Millisecond},
		{batch.Child("longest"), &c.Batch.Longest, time.Second},
		{claims.Child("launchTimeout"), &c.NodeClaims.LaunchTimeout, 5 * time.Minute},
		{claims.Child("registrationTimeout"), &c.NodeClaims.RegistrationTimeout, 15 * time.Minute},
		{claims.Child("initializationTimeout"), &c.NodeClaims.InitializationTimeout, 15 * time.Minute},
		{claims.Child("collectEvery"), &c.NodeClaims.CollectEvery, 2 * time.Minute},
		{field.NewPath("repair", "toleration"), &c.Repair.Toleration, 30 * time.Minute},
		{consolidation.Child("every"), &c.Consolidation.Every, 10 * time.Second},
		{consolidation.Child("minAge"), &c.Consolidation.MinAge, 5 * time.Minute},
		{field.NewPath("unavailableFor"), &c.UnavailableFor, 3 * time.Minute},
	}
}

func (c *Config) validate() field.ErrorList {
	var errs field.ErrorList
	for _, r := range []struct {
		path  *field.Path
		value string
	}{
		{field.NewPath("cluster", "name"), c.Cluster.Name},
		{field.NewPath("cluster", "serviceCIDR"), c.Cluster.ServiceCIDR},
		{field.NewPath("grpc", "certFile"), c.GRPC.CertFile},
		{field.NewPath("grpc", "keyFile"), c.GRPC.KeyFile},
		{field.NewPath("grpc", "clientCAFile"), c.GRPC.ClientCAFile},
		{field.NewPath("schedulerConfigFile"), c.SchedulerConfigFile},
	} {
		if r.value == "" {
			errs = append(errs, field.Required(r.path, ""))
		}
	}
	if _, _, err := net.ParseCIDR(c.Cluster.ServiceCIDR); c.Cluster.ServiceCIDR != "" && err != nil {
		errs = append(errs, field.Invalid(field.NewPath("cluster", "serviceCIDR"), c.Cluster.ServiceCIDR, "must be a CIDR such as 10.100.0.0/16"))
	}
	for _, d := range c.durations() {
		if d.field.Duration < 0 {
			errs = append(errs, field.Invalid(d.path, d.field.Duration.String(), "must be positive"))
		}
	}
	if c.Batch.Idle.Duration > c.Batch.Longest.Duration {
		errs = append(errs, field.Invalid(field.NewPath("batch", "idle"), c.Batch.Idle.Duration.String(), "must not be longer than batch.longest"))
	}
	if e := c.LeaderElection; e.LeaseDuration.Duration <= e.RenewDeadline.Duration || e.RenewDeadline.Duration <= e.RetryPeriod.Duration {
		errs = append(errs, field.Invalid(field.NewPath("leaderElection"), fmt.Sprintf("%s/%s/%s", e.LeaseDuration.Duration, e.RenewDeadline.Duration, e.RetryPeriod.Duration),
			"leaseDuration must be longer than renewDeadline, and that longer than retryPeriod"))
	}
	if most := *c.NodeClaims.MaxLaunchesPerMinute; most < 0 {
		errs = append(errs, field.Invalid(field.NewPath("nodeClaims", "maxLaunchesPerMinute"), most, "must not be negative"))
	}
	if c.Client.QPS < 0 || c.Client.Burst < 0 {
		errs = append(errs, field.Invalid(field.NewPath("client"), c.Client, "must be positive"))
	}
	for _, a := range []struct {
		path  *field.Path
		value string
	}{
		{field.NewPath("grpc", "address"), c.GRPC.Address},
		{field.NewPath("metricsAddress"), c.MetricsAddress},
		{field.NewPath("healthAddress"), c.HealthAddress},
	} {
		if a.value == "0" && a.path.String() != "grpc.address" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			errs = append(errs, field.Invalid(a.path, a.value, "must be host:port"))
		}
	}
	return errs
}
