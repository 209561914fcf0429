package ec2_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// blind makes EC2 tell nothing about what it sells and what it costs.
func blind(t *testing.T, s *simec2.Server) {
	t.Helper()
	for _, action := range []string{"DescribeInstanceTypes", "GetProducts", "DescribeSpotPriceHistory"} {
		must(t, s.InjectFault(simec2.Fault{Action: action, Code: "UnauthorizedOperation", Status: 403}))
	}
}

// TestBuiltInDataStandIn: where AWS cannot be asked at the start, nodes are launched with what
// is built in; a condition and metrics say so, until AWS answers.
func TestBuiltInDataStandIn(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	clock, registry := clocktesting.NewFakeClock(time.Now()), prometheus.NewRegistry()
	p := newProvider(t, s, func(c *ec2.Config) { c.Clock, c.Registerer = clock, registry })
	table, err := ec2.BuiltIn("us-east-1")
	must(t, err)
	blind(t, s)

	types, err := p.Types(t.Context(), nil)
	must(t, err)
	for _, l := range table.Types {
		if l.Name != "m5.large" {
			continue
		}
		for _, zone := range []string{"us-east-1a", "us-east-1b", "us-east-1c"} {
			for _, capacityType := range []string{v1alpha1.CapacityTypeOnDemand, v1alpha1.CapacityTypeSpot} {
				key := offering.Key{InstanceType: l.Name, Zone: zone, CapacityType: capacityType}
				if got := typesByKey(types)[key]; got != l.Price {
					t.Errorf("%v costs %v, want %v", key, got, l.Price)
				}
			}
		}
	}
	if i, err := p.Launch(t.Context(), newClaim(m5), nil); err != nil || i.Type != "m5.large" {
		t.Errorf("Launch: %+v, %v", i, err)
	}

	status, err := p.Resolve(t.Context(), nil)
	must(t, err)
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionOfferingsCurrent)
	if c == nil || !strings.Contains(c.Message, "on-demand prices are those built in, of "+table.Date.Format(time.DateOnly)) ||
		!strings.Contains(c.Message, "GetProducts") || !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("conditions: %+v", status.Conditions)
	}
	compare := func(substituted int) {
		t.Helper()
		want := strings.ReplaceAll(`
# HELP slipway_cloud_data_substituted 1 while data of the cloud could not be read since the start, and what is built in is used, or on-demand prices for spot ones.
# TYPE slipway_cloud_data_substituted gauge
slipway_cloud_data_substituted{what="instance types"} N
slipway_cloud_data_substituted{what="on-demand prices"} N
slipway_cloud_data_substituted{what="spot prices"} N
`, "N", fmt.Sprint(substituted))
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slipway_cloud_data_substituted"); err != nil {
			t.Error(err)
		}
	}
	compare(1)
	if got := loadedAt(t, registry, "instance types"); got != float64(table.Date.Unix()) {
		t.Errorf("instance types are said to be of %v, want %v", got, table.Date.Unix())
	}

	must(t, s.SetFaults())
	clock.Step(5 * time.Minute) // as offering.Catalog asks
	types, err = p.Types(t.Context(), nil)
	must(t, err)
	key := offering.Key{InstanceType: "m5.large", Zone: "us-east-1b", CapacityType: v1alpha1.CapacityTypeSpot}
	if want, _ := s.SpotPrice("m5.large", "us-east-1b"); typesByKey(types)[key] != want {
		t.Errorf("%v costs %v, want %v", key, typesByKey(types)[key], want)
	}
	status, err = p.Resolve(t.Context(), nil)
	must(t, err)
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionOfferingsCurrent); c != nil {
		t.Errorf("condition with fresh data: %+v", c)
	}
	compare(0)
	if got := loadedAt(t, registry, "instance types"); got != float64(clock.Now().Unix()) {
		t.Errorf("instance types are said to be of %v, want %v", got, clock.Now().Unix())
	}
}

// loadedAt is the metric of what was read when.
func loadedAt(t *testing.T, registry *prometheus.Registry, what string) float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "slipway_cloud_data_loaded_timestamp_seconds" && m.GetLabel()[0].GetValue() == what {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric says how old %s are", what)
	return 0
}

// TestNoGuesses: of a region without built-in data nothing is assumed.
func TestNoGuesses(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true, Region: "eu-west-9"})
	p := newProvider(t, s, func(c *ec2.Config) { c.AWS.Region = "eu-west-9" })
	must(t, s.InjectFault(simec2.Fault{Action: "GetProducts", Code: "AccessDeniedException", Status: 403}))
	_, err := p.Types(t.Context(), nil)
	if !errors.Is(err, ec2.ErrNotBuiltIn) || !errors.Is(err, cloud.ErrDenied) || !strings.Contains(err.Error(), "eu-west-9") {
		t.Errorf("err = %v, want one that says why there is none and that none is built in of eu-west-9", err)
	}
}

// TestSpotPricesUnknown: spot capacity is offered at the price that it cannot exceed.
func TestSpotPricesUnknown(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	must(t, s.InjectFault(simec2.Fault{Action: "DescribeSpotPriceHistory", Code: "UnauthorizedOperation", Status: 403}))
	types, err := newProvider(t, s).Types(t.Context(), nil)
	must(t, err)
	prices := typesByKey(types)
	key := offering.Key{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: v1alpha1.CapacityTypeSpot}
	if want := s.InstanceTypes()["m5.large"].OnDemand; prices[key] != want {
		t.Errorf("%v costs %v, want %v", key, prices[key], want)
	}
}

// TestSnapshot: what a table is made from is what the region sells.
func TestSnapshot(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s, func(c *ec2.Config) { c.ReadOnly = true })
	table, err := p.Snapshot(t.Context())
	must(t, err)
	again, err := ec2.ParseTable(table.String())
	must(t, err)
	if len(again.Types) != len(table.Types) || len(table.Types) < 400 {
		t.Errorf("%d types were read, %d written", len(table.Types), len(again.Types))
	}
	for _, l := range table.Types {
		i := slices.IndexFunc(again.Types, func(other ec2.Listed) bool { return other.Name == l.Name })
		if i < 0 || again.Types[i].Hardware != l.Hardware {
			t.Errorf("%+v is not as it was", l)
		}
		if sim := s.InstanceTypes()[l.Name]; sim.OnDemand != l.Price || int64(sim.VCPU) != l.VCPUs {
			t.Errorf("%+v is sold, %+v read", sim, l)
		}
	}
}
