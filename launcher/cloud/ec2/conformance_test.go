package ec2_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/cloudtest"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

const clusterName = "test"

// startEC2 starts a simulated region.
func startEC2(t *testing.T, cfg simec2.Config) *simec2.Server {
	t.Helper()
	cfg.ClusterName = clusterName
	if cfg.ReadLag == nil {
		lag := 50 * time.Millisecond
		cfg.ReadLag = &lag
	}
	s, err := simec2.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newProvider returns a Provider on the simulated region that retries at once.
func newProvider(t *testing.T, s *simec2.Server, edit ...func(*ec2.Config)) *ec2.Provider {
	t.Helper()
	cfg := providerConfig(s.URL())
	for _, e := range edit {
		e(&cfg)
	}
	p, err := ec2.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func providerConfig(url string) ec2.Config {
	return ec2.Config{
		AWS: aws.Config{
			Region:       "us-east-1",
			BaseEndpoint: aws.String(url),
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret"}, nil
			}),
			Retryer: func() aws.Retryer {
				return retry.NewStandard(func(o *retry.StandardOptions) {
					o.MaxAttempts = 2
					o.MaxBackoff = time.Millisecond
				})
			},
		},
		Cluster: ec2.Cluster{
			Name: clusterName, Endpoint: "https://127.0.0.1:6443", CABundle: []byte("test CA\n"),
			ServiceCIDR: "10.96.0.0/16", KubeVersion: ec2.FixedVersion("1.36"),
		},
		Clock:      clock.RealClock{},
		Registerer: prometheus.NewRegistry(),
	}
}

func accepted(instanceType, zone, capacityType, price string) v1alpha1.AcceptedOffering {
	return v1alpha1.AcceptedOffering{
		InstanceType: instanceType, Zone: zone, CapacityType: capacityType, Price: resource.MustParse(price),
	}
}

func TestConformance(t *testing.T) {
	for _, capacityType := range []string{v1alpha1.CapacityTypeOnDemand, v1alpha1.CapacityTypeSpot} {
		t.Run(capacityType, func(t *testing.T) {
			cloudtest.Run(t, func(t *testing.T) cloudtest.Harness { return harness(t, capacityType) })
		})
	}
}

func harness(t *testing.T, capacityType string) cloudtest.Harness {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	return cloudtest.Harness{
		Provider: newProvider(t, s),
		Restart:  func() cloud.Provider { return newProvider(t, s) },
		Offerings: [2]v1alpha1.AcceptedOffering{
			accepted("m6g.large", "us-east-1a", capacityType, "0.077"),
			accepted("m5.large", "us-east-1b", capacityType, "0.096"),
		},
		UnknownID: "i-0123456789abcdef0",
		Leave: func(instances int, keys ...offering.Key) {
			var rules []simec2.CapacityRule
			for _, k := range keys {
				rules = append(rules, simec2.CapacityRule{InstanceType: k.InstanceType, Zone: k.Zone, CapacityType: k.CapacityType, Instances: instances})
			}
			must(t, s.SetCapacity(rules...))
		},
		Impair: func(id string, fails bool) error {
			return s.Impair(map[bool]string{true: simec2.CheckSystem}[fails], id)
		},
		Break: func(f cloudtest.Failure) {
			must(t, s.InjectFault(map[cloudtest.Failure]simec2.Fault{
				cloudtest.Denied: {
					Action: "CreateFleet", Code: "UnauthorizedOperation", Status: 403,
					Message: "You are not authorized to perform this operation.",
				},
				cloudtest.Throttled:  {Action: "CreateFleet", Code: "RequestLimitExceeded"},
				cloudtest.LostAnswer: {Action: "CreateFleet", Code: "InternalError", AfterEffect: true},
			}[f]))
		},
		Mend: func() { must(t, s.SetFaults()) },
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
