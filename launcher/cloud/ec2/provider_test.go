package ec2_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

func newClaim(offerings ...v1alpha1.AcceptedOffering) *v1alpha1.NodeClaim {
	return &v1alpha1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "general-x", UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.NodeClaimSpec{
			NodePool: "general", Offerings: v1alpha1.GroupOfferings(offerings...),
			StartupTaints: []corev1.Taint{{Key: "example.com/starting", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
}

func newClass(spec v1alpha1.EC2NodeClassSpec) *v1alpha1.EC2NodeClass {
	return &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "special", UID: "1", Generation: 1}, Spec: spec}
}

// countCalls counts the calls of an action that EC2 answered, by error code.
func countCalls(s *simec2.Server, action string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Action == action {
			n++
		}
	}
	return n
}

var m5 = accepted("m5.large", "us-east-1a", v1alpha1.CapacityTypeOnDemand, "0.096")

func TestTagsAtBirth(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	claim := newClaim(m5)
	class := newClass(v1alpha1.EC2NodeClassSpec{Tags: map[string]string{
		"owner": "blue", "slipway.dev/cluster": "another",
	}})
	if _, err := newProvider(t, s).Launch(t.Context(), claim, class); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Name": "test/general-x", "owner": "blue", "kubernetes.io/cluster/test": "owned",
		"slipway.dev/cluster": "test", "slipway.dev/nodepool": "general",
		"slipway.dev/nodeclaim": "general-x", "slipway.dev/nodeclaim-uid": string(claim.UID),
	}
	got := s.Instances()[0].Tags
	for key := range got {
		if strings.HasPrefix(key, "aws:") {
			delete(got, key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestClaimsOfOnePoolShareTheirTemplate(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	for range 3 {
		if _, err := p.Launch(t.Context(), newClaim(m5), nil); err != nil {
			t.Fatal(err)
		}
	}
	// A process that starts anew tries to create it and finds it there.
	if _, err := newProvider(t, s).Launch(t.Context(), newClaim(m5), nil); err != nil {
		t.Fatal(err)
	}
	if n := countCalls(s, "CreateLaunchTemplate"); n != 2 {
		t.Errorf("CreateLaunchTemplate was called %d times, want 2", n)
	}
	first := s.Instances()[0].LaunchTemplateID
	for _, i := range s.Instances() {
		if i.LaunchTemplateID != first {
			t.Errorf("template %s and %s for one content", first, i.LaunchTemplateID)
		}
	}
}

func TestMissingTemplateIsMadeAgain(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	must(t, s.InjectFault(simec2.Fault{
		Action: "CreateFleet", Code: "InvalidLaunchTemplateName.NotFoundException", Count: 1,
	}))
	if _, err := p.Launch(t.Context(), newClaim(m5), nil); err != nil {
		t.Fatal(err)
	}
	if n := countCalls(s, "CreateLaunchTemplate"); n != 2 {
		t.Errorf("CreateLaunchTemplate was called %d times, want 2", n)
	}
}

func TestNewImageAfterRestartAdopts(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	claim := newClaim(m5)
	first, err := newProvider(t, s).Launch(t.Context(), claim, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.PublishImages("v20260901"))
	second, err := newProvider(t, s).Launch(t.Context(), claim, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != first.ID || second.ImageID != first.ImageID {
		t.Errorf("got %s from %s, want %s from %s", second.ID, second.ImageID, first.ID, first.ImageID)
	}
	if n := len(s.Instances()); n != 1 {
		t.Errorf("%d instances for one claim", n)
	}
}

func TestEndedInstanceIsNotReplaced(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	claim := newClaim(m5)
	p := newProvider(t, s)
	i, err := p.Launch(t.Context(), claim, nil)
	must(t, err)
	waitListed(t, p, 1)
	must(t, s.Terminate(i.ID))
	waitListed(t, p, 0)
	claim.CreationTimestamp.Time = claim.CreationTimestamp.Add(-time.Hour)
	if _, err := newProvider(t, s).Launch(t.Context(), claim, nil); !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("err = %v, want invalid: the claim had its instance", err)
	}
}

// waitListed waits until so many instances are listed: reads lag behind.
func waitListed(t *testing.T, p *ec2.Provider, want int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		list, err := p.List(t.Context())
		must(t, err)
		if len(list) == want {
			return
		}
		<-tick.C
	}
	t.Fatalf("never saw %d instances", want)
}

func TestResolve(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	subnetOf := s.Subnets()
	image, err := s.RecommendedImage("arm64")
	must(t, err)
	for _, tt := range []struct {
		name    string
		spec    v1alpha1.EC2NodeClassSpec
		subnets []string // zones
		amis    []string // architectures
		failing []string // conditions
		message string
	}{
		{
			name: "defaults", subnets: []string{"us-east-1a", "us-east-1b", "us-east-1c"},
			amis: []string{"amd64", "amd64", "arm64", "arm64"}, // standard and nvidia
		},
		{
			name: "by id",
			spec: v1alpha1.EC2NodeClassSpec{
				SubnetSelectorTerms:        []v1alpha1.SubnetSelectorTerm{{ID: subnetOf["us-east-1c"]}, {ID: subnetOf["us-east-1a"]}, {ID: subnetOf["us-east-1a"]}},
				SecurityGroupSelectorTerms: []v1alpha1.SecurityGroupSelectorTerm{{ID: s.SecurityGroup()}},
				AMISelectorTerms:           []v1alpha1.AMISelectorTerm{{ID: image}},
			},
			subnets: []string{"us-east-1a", "us-east-1c"}, amis: []string{"arm64"},
		},
		{
			name: "by tags and name",
			spec: v1alpha1.EC2NodeClassSpec{
				SubnetSelectorTerms:        []v1alpha1.SubnetSelectorTerm{{Tags: map[string]string{"kubernetes.io/role/internal-elb": "*", "Name": "test-us-east-1b"}}},
				SecurityGroupSelectorTerms: []v1alpha1.SecurityGroupSelectorTerm{{Name: "test-nodes"}},
			},
			subnets: []string{"us-east-1b"}, amis: []string{"amd64", "amd64", "arm64", "arm64"},
		},
		{
			name: "nothing matches",
			spec: v1alpha1.EC2NodeClassSpec{
				SubnetSelectorTerms:        []v1alpha1.SubnetSelectorTerm{{Tags: map[string]string{"no": "such"}}},
				SecurityGroupSelectorTerms: []v1alpha1.SecurityGroupSelectorTerm{{Name: "none"}},
				AMISelectorTerms:           []v1alpha1.AMISelectorTerm{{ID: "ami-0123456789abcdef0"}},
			},
			failing: []string{v1alpha1.ConditionAMIsReady, v1alpha1.ConditionSecurityGroupsReady, v1alpha1.ConditionSubnetsReady},
			message: "no subnet matches spec.subnetSelectorTerms",
		},
		{
			name:    "an alias that is not supported",
			spec:    v1alpha1.EC2NodeClassSpec{AMISelectorTerms: []v1alpha1.AMISelectorTerm{{Alias: "al2@latest"}}},
			subnets: []string{"us-east-1a", "us-east-1b", "us-east-1c"},
			failing: []string{v1alpha1.ConditionAMIsReady}, message: `alias "al2@latest" is of no family that is supported`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, err := newProvider(t, s).Resolve(t.Context(), newClass(tt.spec))
			if len(tt.failing) == 0 && err != nil {
				t.Fatal(err)
			}
			if len(tt.failing) > 0 && (!errors.Is(err, cloud.ErrInvalid) || !strings.Contains(err.Error(), tt.message)) {
				t.Errorf("err = %v, want invalid: %s", err, tt.message)
			}
			var zones, archs, failing []string
			for _, sub := range status.Subnets {
				zones = append(zones, sub.Zone)
			}
			for _, ami := range status.AMIs {
				archs = append(archs, ami.Architecture)
			}
			for _, c := range status.Conditions {
				if c.Status != metav1.ConditionTrue && c.Type != v1alpha1.ConditionReady {
					failing = append(failing, c.Type)
				}
			}
			slices.Sort(failing)
			if diff := cmp.Diff([][]string{tt.subnets, tt.amis, tt.failing}, [][]string{zones, archs, failing}); diff != "" {
				t.Errorf("zones, architectures, failing (-want +got):\n%s", diff)
			}
			if ready := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady); ready != (err == nil) {
				t.Errorf("Ready = %v with error %v", ready, err)
			}
		})
	}
}

// TestDefaultSecurityGroups: of ever more groups that bear tags of the cluster, nodes get those
// that are for nodes.
func TestDefaultSecurityGroups(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	owned := map[string]string{"kubernetes.io/cluster/test": "owned"}
	for _, add := range []struct {
		name string
		tags map[string]string
		want []string
	}{
		{"k8s-elb-a1b2", owned, []string{"test-nodes"}},
		{"more-nodes", owned, []string{"more-nodes", "test-nodes"}},
		{"eks-cluster-sg-test-1", map[string]string{"kubernetes.io/cluster/test": "owned", "aws:eks:cluster-name": "test"}, []string{"eks-cluster-sg-test-1"}},
		{"eks-cluster-sg-other-1", map[string]string{"aws:eks:cluster-name": "other"}, []string{"eks-cluster-sg-test-1"}},
		{"by-hand", map[string]string{"slipway.dev/discovery": "test"}, []string{"by-hand"}},
	} {
		s.AddSecurityGroup(add.name, add.tags)
		status, err := newProvider(t, s).Resolve(t.Context(), nil)
		must(t, err)
		var names []string
		for _, g := range status.SecurityGroups {
			names = append(names, g.Name)
		}
		slices.Sort(names)
		if diff := cmp.Diff(add.want, names); diff != "" {
			t.Errorf("with %s (-want +got):\n%s", add.name, diff)
		}
	}
}

func TestUnresolvedClassIsNotLaunched(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	class := newClass(v1alpha1.EC2NodeClassSpec{SubnetSelectorTerms: []v1alpha1.SubnetSelectorTerm{{ID: "subnet-0123456789abcdef0"}}})
	if _, err := p.Launch(t.Context(), newClaim(m5), class); !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("Launch: %v, want invalid", err)
	}
	if _, err := p.Types(t.Context(), class); !errors.Is(err, cloud.ErrInvalid) {
		t.Errorf("Types: %v, want invalid", err)
	}
	if n := countCalls(s, "CreateFleet"); n != 0 {
		t.Errorf("CreateFleet was called %d times", n)
	}
}

// typesByKey flattens types to their offerings.
func typesByKey(types []offering.Type) map[offering.Key]float64 {
	out := map[offering.Key]float64{}
	for _, t := range types {
		for _, o := range t.Offerings {
			out[offering.Key{InstanceType: t.Name, Zone: o.Zone, CapacityType: o.CapacityType}] = o.Price
		}
	}
	return out
}

func TestPrices(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	types, err := newProvider(t, s).Types(t.Context(), nil)
	must(t, err)
	got := typesByKey(types)
	key := offering.Key{InstanceType: "m5.large", Zone: "us-east-1b", CapacityType: "on-demand"}
	if want := s.InstanceTypes()["m5.large"].OnDemand; got[key] != want {
		t.Errorf("%v costs %v, want %v", key, got[key], want)
	}
	key.CapacityType = "spot"
	if want, _ := s.SpotPrice("m5.large", "us-east-1b"); got[key] != want {
		t.Errorf("%v costs %v, want %v", key, got[key], want)
	}
}

func TestOldDataStaysInUse(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	clock := clocktesting.NewFakeClock(time.Now())
	p := newProvider(t, s, func(c *ec2.Config) { c.Clock = clock })
	before, err := p.Types(t.Context(), nil)
	must(t, err)
	must(t, s.InjectFault(simec2.Fault{Action: "*", Code: "InternalError"}))
	clock.Step(24 * time.Hour)
	after, err := p.Types(t.Context(), nil)
	must(t, err)
	if diff := cmp.Diff(typesByKey(before), typesByKey(after)); diff != "" {
		t.Errorf("offerings changed while AWS is down (-before +after):\n%s", diff)
	}
}

func TestMetrics(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	registry := prometheus.NewRegistry()
	p := newProvider(t, s, func(c *ec2.Config) { c.Registerer = registry })
	must(t, s.InjectFault(simec2.Fault{Action: "TerminateInstances", Code: "RequestLimitExceeded", Count: 1}))
	if err := p.Terminate(t.Context(), "i-0123456789abcdef0"); !errors.Is(err, cloud.ErrNotFound) {
		t.Fatal(err)
	}
	want := `
# HELP slipway_cloud_api_calls_total Calls to the cloud's APIs, retries included, by operation and error code (OK when there was none).
# TYPE slipway_cloud_api_calls_total counter
slipway_cloud_api_calls_total{code="InvalidInstanceID.NotFound",operation="TerminateInstances"} 1
slipway_cloud_api_calls_total{code="RequestLimitExceeded",operation="TerminateInstances"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slipway_cloud_api_calls_total"); err != nil {
		t.Error(err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	_, err := ec2.New(ec2.Config{})
	if err == nil || !strings.Contains(err.Error(), "Cluster.Name") || !strings.Contains(err.Error(), "AWS.Region") {
		t.Errorf("err = %v, want one that names what is missing", err)
	}
}
