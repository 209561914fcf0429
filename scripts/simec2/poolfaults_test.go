package simec2

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestPoolFaultsAreChecked(t *testing.T) {
	r := newRig(t)
	for name, f := range map[string]Fault{
		"another action": {Action: "DescribeImages", Code: "x", Pools: &PoolMatch{}},
		"no code":        {Action: "CreateFleet", Latency: 1, Pools: &PoolMatch{}},
		"after effect":   {Action: "CreateFleet", Code: "x", AfterEffect: true, Pools: &PoolMatch{}},
	} {
		if err := r.InjectFault(f); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	r := newRig(t)
	client := sts.NewFromConfig(r.aws)
	_, encoded, _ := strings.Cut(EncodedDenial("ec2:RunInstances", "arn:x"), "failure message: ")
	out, err := client.DecodeAuthorizationMessage(r.ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: &encoded})
	if err != nil || !strings.Contains(aws.ToString(out.DecodedMessage), `"action":"ec2:RunInstances"`) {
		t.Errorf("decoded %+v, %v", out, err)
	}
	_, err = client.DecodeAuthorizationMessage(r.ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: aws.String("?")})
	wantCode(t, err, "InvalidAuthorizationMessageException")
}

// TestInstanceProfiles live as IAM has them: one role each, and none when they are deleted.
func TestInstanceProfiles(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Roles = []string{"blue"} })
	client := iam.NewFromConfig(r.aws)
	name, role := aws.String("mine"), aws.String("blue")
	_, err := client.GetInstanceProfile(r.ctx, &iam.GetInstanceProfileInput{InstanceProfileName: name})
	wantCode(t, err, "NoSuchEntity")
	create := &iam.CreateInstanceProfileInput{InstanceProfileName: name, Path: aws.String("/a/")}
	if _, err := client.CreateInstanceProfile(r.ctx, create); err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateInstanceProfile(r.ctx, create)
	wantCode(t, err, "EntityAlreadyExists")
	_, err = client.AddRoleToInstanceProfile(r.ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: aws.String("red")})
	wantCode(t, err, "NoSuchEntity")
	add := &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: role}
	if _, err := client.AddRoleToInstanceProfile(r.ctx, add); err != nil {
		t.Fatal(err)
	}
	_, err = client.AddRoleToInstanceProfile(r.ctx, add)
	wantCode(t, err, "LimitExceeded")
	got, err := client.GetInstanceProfile(r.ctx, &iam.GetInstanceProfileInput{InstanceProfileName: name})
	if err != nil || len(got.InstanceProfile.Roles) != 1 || aws.ToString(got.InstanceProfile.Roles[0].RoleName) != "blue" {
		t.Errorf("profile %+v, %v", got, err)
	}
	_, err = client.DeleteInstanceProfile(r.ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: name})
	wantCode(t, err, "DeleteConflict")
	remove := &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: role}
	if _, err := client.RemoveRoleFromInstanceProfile(r.ctx, remove); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteInstanceProfile(r.ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: name}); err != nil {
		t.Fatal(err)
	}
}
