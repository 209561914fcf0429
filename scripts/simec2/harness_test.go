package simec2

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a running server on a clock of its own, and clients for it.
type rig struct {
	*Server
	t     *testing.T
	ctx   context.Context
	clock *clocktesting.FakeClock
	aws   aws.Config
	ec2   *ec2.Client
}

type staticCredentials struct{}

func (staticCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDSIMULATED", SecretAccessKey: "secret"}, nil
}

func newRig(t *testing.T, configure ...func(*Config)) *rig {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Date(2026, 7, 23, 12, 0, 0, 0, time.UTC))
	cfg := Config{Clock: clk, Seed: 1}
	for _, f := range configure {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	transport := aws.Config{
		Region: "us-east-1", Credentials: staticCredentials{}, BaseEndpoint: aws.String(s.URL()),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
	client := &http.Client{Transport: &http.Transport{}}
	transport.HTTPClient = client
	t.Cleanup(func() {
		cancel()
		client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &rig{Server: s, t: t, ctx: ctx, clock: clk, aws: transport, ec2: ec2.NewFromConfig(transport)}
}

func (r *rig) image(arch string) string {
	r.t.Helper()
	id, err := r.RecommendedImage(arch)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// template creates a launch template and returns its id.
func (r *rig) template(name string) string {
	r.t.Helper()
	out, err := r.ec2.CreateLaunchTemplate(r.ctx, r.templateInput(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.LaunchTemplate.LaunchTemplateId
}

func (r *rig) templateInput(name string) *ec2.CreateLaunchTemplateInput {
	return &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(name),
		ClientToken:        aws.String("token-" + name),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
			ImageId:            aws.String(r.image("x86_64")),
			UserData:           aws.String(base64.StdEncoding.EncodeToString([]byte("hello"))),
			SecurityGroupIds:   []string{r.SecurityGroup()},
			IamInstanceProfile: &ec2types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String("slipway-node-slipway-dev")},
			MetadataOptions: &ec2types.LaunchTemplateInstanceMetadataOptionsRequest{
				HttpTokens: ec2types.LaunchTemplateHttpTokensStateRequired, HttpPutResponseHopLimit: aws.Int32(2),
			},
			BlockDeviceMappings: []ec2types.LaunchTemplateBlockDeviceMappingRequest{{
				DeviceName: aws.String("/dev/xvda"),
				Ebs:        &ec2types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: aws.Int32(50), VolumeType: ec2types.VolumeTypeGp3},
			}},
		},
		TagSpecifications: []ec2types.TagSpecification{{
			ResourceType: ec2types.ResourceTypeLaunchTemplate, Tags: tagList("cluster", "slipway-dev"),
		}},
	}
}

func tagList(kv ...string) []ec2types.Tag {
	var out []ec2types.Tag
	for i := 0; i < len(kv); i += 2 {
		out = append(out, ec2types.Tag{Key: aws.String(kv[i]), Value: aws.String(kv[i+1])})
	}
	return out
}

// fleet is a request for n on-demand instances of the types in the zones.
func (r *rig) fleet(template string, n int32, types []string, zones ...string) *ec2.CreateFleetInput {
	if len(zones) == 0 {
		zones = []string{"us-east-1a"}
	}
	var overrides []ec2types.FleetLaunchTemplateOverridesRequest
	for _, typ := range types {
		for _, z := range zones {
			overrides = append(overrides, ec2types.FleetLaunchTemplateOverridesRequest{
				InstanceType: ec2types.InstanceType(typ), SubnetId: aws.String(r.Subnets()[z]),
			})
		}
	}
	return &ec2.CreateFleetInput{
		Type: ec2types.FleetTypeInstant,
		LaunchTemplateConfigs: []ec2types.FleetLaunchTemplateConfigRequest{{
			LaunchTemplateSpecification: &ec2types.FleetLaunchTemplateSpecificationRequest{
				LaunchTemplateId: aws.String(template), Version: aws.String("$Latest"),
			},
			Overrides: overrides,
		}},
		TargetCapacitySpecification: &ec2types.TargetCapacitySpecificationRequest{
			TotalTargetCapacity: aws.Int32(n), DefaultTargetCapacityType: ec2types.DefaultTargetCapacityTypeOnDemand,
		},
	}
}

// launch runs a fleet request and returns the ids it launched.
func (r *rig) launch(in *ec2.CreateFleetInput) []string {
	r.t.Helper()
	out, err := r.ec2.CreateFleet(r.ctx, in)
	if err != nil {
		r.t.Fatal(err)
	}
	return fleetIDs(out)
}

func fleetIDs(out *ec2.CreateFleetOutput) []string {
	var ids []string
	for _, i := range out.Instances {
		ids = append(ids, i.InstanceIds...)
	}
	return ids
}

func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if errorCode(err) != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}
