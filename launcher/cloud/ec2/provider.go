// Package ec2 owns everything that talks to AWS: it implements cloud.Provider with
// EC2, SSM (which image is current), Pricing, IAM (instance profiles of roles) and STS (what was
// denied), and reads notices about instances from SQS. No other package uses an AWS client.
//
// Every call waits for its turn in EC2's token buckets (buckets.go), is bounded in time, retried
// by the SDK a few times, counted, and its error given one of the meanings of package cloud (errors.go).
package ec2

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// How old what was read may be before it is read again. Prices and types that cannot
// be read again stay in use; for what could never be read, see fallback.go.
const (
	typesMaxAge    = time.Hour
	onDemandMaxAge = 6 * time.Hour
	spotMaxAge     = 5 * time.Minute
	resolveMaxAge  = time.Minute
	// A launch makes do with an older resolution: Types, which is asked every few
	// minutes, renews it, and the pods wait.
	launchMaxAge   = 15 * time.Minute
	templateMaxAge = 24 * time.Hour
)

// Config is what a Provider needs.
type Config struct {
	// AWS carries credentials, region and endpoints, as config.LoadDefaultConfig
	// reads them (AWS_ENDPOINT_URL and its kin work). Required.
	AWS aws.Config
	// Cluster is what instances join. Required.
	Cluster Cluster
	// InstanceProfile is used for classes that name none; slipway-node-CLUSTER
	// by default.
	InstanceProfile string
	// LabelAliases gives nodes labels a second time: keys with those that the values are found under.
	LabelAliases map[string]string
	// ReadOnly makes a Provider that launches nothing. Of Cluster it needs Name and
	// KubeVersion only.
	ReadOnly bool
	// Clock is required.
	Clock clock.Clock
	// Registerer takes the metrics; nil means none.
	Registerer prometheus.Registerer
}

// Cluster is what an instance must know to join.
type Cluster struct {
	Name        string
	Endpoint    string // URL of the API server
	CABundle    []byte // PEM
	ServiceCIDR string
	// KubeVersion tells the minor version, such as 1.36, that aliases of images stand for. It is
	// asked each time a class is resolved.
	KubeVersion func(context.Context) (string, error)
}

// FixedVersion is a version that does not change.
func FixedVersion(version string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return version, nil }
}

func (c *Config) validate() error {
	var missing []string
	for _, f := range []struct {
		name  string
		unset bool
	}{
		{"AWS.Region", c.AWS.Region == ""},
		{"AWS.Credentials", c.AWS.Credentials == nil},
		{"Cluster.Name", c.Cluster.Name == ""},
		{"Cluster.Endpoint", c.Cluster.Endpoint == "" && !c.ReadOnly},
		{"Cluster.CABundle", len(c.Cluster.CABundle) == 0 && !c.ReadOnly},
		{"Cluster.ServiceCIDR", c.Cluster.ServiceCIDR == "" && !c.ReadOnly},
		{"Cluster.KubeVersion", c.Cluster.KubeVersion == nil},
		{"Clock", c.Clock == nil},
	} {
		if f.unset {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return errors.New("ec2: Config lacks " + strings.Join(missing, ", "))
	}
	return nil
}

// Provider buys and returns EC2 instances. It keeps caches only.
type Provider struct {
	cfg     Config
	aws     aws.Config // with what every client is to have
	ec2     *ec2.Client
	ssm     *ssm.Client
	pricing *pricing.Client
	iam     *iam.Client
	denials *decoder
	buckets *buckets

	metrics   *metrics
	types     *cached[typeTable]
	onDemand  *cached[onDemandPrices]
	spot      *cached[spotPrices]
	resolved  *keyed[resolution]
	templates *keyed[struct{}]
	use       lastUse // of templates and instance profiles

	gets         *merged[cloud.Instance]
	terminations *merged[struct{}]
}

var (
	_ cloud.Provider  = (*Provider)(nil)
	_ offering.Source = (*Provider)(nil)
)

// New returns a Provider. It calls nothing yet.
func New(cfg Config) (*Provider, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.InstanceProfile == "" {
		cfg.InstanceProfile = "slipway-node-" + cfg.Cluster.Name
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("ec2: register metrics: %w", err)
	}
	through := &calls{clock: cfg.Clock, metrics: m, buckets: newBuckets(cfg.Clock)}
	denials := &decoder{sts.NewFromConfig(through.instrument(cfg.AWS))}
	through = &calls{clock: cfg.Clock, metrics: m, buckets: through.buckets, decoder: denials}
	awsConfig := through.instrument(cfg.AWS)
	p := &Provider{
		cfg:     cfg,
		aws:     awsConfig,
		metrics: m,
		denials: denials,
		buckets: through.buckets,
		ec2:     ec2.NewFromConfig(awsConfig),
		ssm:     ssm.NewFromConfig(awsConfig),
		iam:     iam.NewFromConfig(awsConfig),
		pricing: pricing.NewFromConfig(awsConfig, func(o *pricing.Options) {
			o.Region = pricingRegion(cfg.AWS.Region)
		}),
	}
	p.types = newCached("instance types", cfg.Clock, m, p.describeTypes)
	p.onDemand = newCached("on-demand prices", cfg.Clock, m, p.readOnDemandPrices)
	p.spot = newCached("spot prices", cfg.Clock, m, p.readSpotPrices)
	p.types.standIn, p.onDemand.standIn, p.spot.standIn = p.builtInTypes, p.builtInPrices, noSpotPrices
	p.resolved = newKeyed[resolution](maxClasses)
	p.templates = newKeyed[struct{}](maxTemplates)
	p.gets = &merged[cloud.Instance]{clock: cfg.Clock, most: mostFiltered, call: p.getAll}
	p.terminations = &merged[struct{}]{clock: cfg.Clock, most: mostTerminated, call: p.terminateAll}
	return p, nil
}

// pricingRegion returns the region whose Pricing endpoint to ask: there are few, and
// each tells the prices of its whole partition.
// https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
func pricingRegion(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "cn-northwest-1"
	}
	return "us-east-1"
}
