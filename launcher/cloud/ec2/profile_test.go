package ec2_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// inBubble is a region and a provider on a bubble's time.
func inBubble(t *testing.T, cfg simec2.Config) (*simec2.Server, *ec2.Provider, ec2.Config) {
	t.Helper()
	cfg.ClusterName = clusterName
	s, err := simec2.New(cfg)
	must(t, err)
	c := providerConfig("http://ec2.test")
	c.AWS.HTTPClient, c.Registerer = inProcess{s}, nil
	p, err := ec2.New(c)
	must(t, err)
	return s, p, c
}

// profiles lists the cluster's instance profiles with their roles.
func profiles(t *testing.T, c ec2.Config) map[string]string {
	t.Helper()
	out, err := iam.NewFromConfig(c.AWS).ListInstanceProfiles(t.Context(), &iam.ListInstanceProfilesInput{PathPrefix: aws.String("/slipway/")})
	must(t, err)
	found := map[string]string{}
	for _, p := range out.InstanceProfiles {
		role := ""
		for _, r := range p.Roles {
			role += aws.ToString(r.RoleName)
		}
		found[aws.ToString(p.Path)] += role
	}
	return found
}

// TestRole: the instance profile of a role is made, once, and instances run under it as soon as
// the class is ready.
func TestRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, c := inBubble(t, simec2.Config{Roles: []string{"blue"}})
		class := newClass(v1alpha1.EC2NodeClassSpec{Role: "blue"})
		status, err := p.Resolve(t.Context(), class)
		must(t, err)
		if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionInstanceProfileReady) || !strings.HasPrefix(status.InstanceProfile, "slipway-test-") {
			t.Errorf("status %+v", status)
		}
		if _, err := p.Launch(t.Context(), newClaim(m5), class); err != nil {
			t.Fatal(err)
		}
		restarted, err := ec2.New(c)
		must(t, err)
		if _, err := restarted.Resolve(t.Context(), class); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"/slipway/us-east-1/test/": "blue"}, profiles(t, c)); diff != "" {
			t.Errorf("instance profiles (-want +got):\n%s", diff)
		}
		if n := countCalls(s, "CreateInstanceProfile"); n != 1 {
			t.Errorf("created %d times", n)
		}
	})
}

// TestRoleProblems: what keeps a class with a role from being ready stands in its condition.
func TestRoleProblems(t *testing.T) {
	for _, tt := range []struct {
		name, role   string
		fault        simec2.Fault
		kind         error
		reason, says string
	}{
		{"no such role", "red", simec2.Fault{}, cloud.ErrNotFound, "NotFound", "role red"},
		{"may not create", "blue", simec2.Fault{Action: "CreateInstanceProfile", Code: "AccessDenied", Status: 403}, cloud.ErrDenied, "PermissionDenied", "iam:CreateInstanceProfile"},
		{"may not read", "blue", simec2.Fault{Action: "ListInstanceProfiles", Code: "AccessDenied", Status: 403}, cloud.ErrDenied, "PermissionDenied", "iam:ListInstanceProfiles"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p, _ := inBubble(t, simec2.Config{Roles: []string{"blue"}})
				if tt.fault.Action != "" {
					must(t, s.InjectFault(tt.fault))
				}
				class := newClass(v1alpha1.EC2NodeClassSpec{Role: tt.role})
				status, err := p.Resolve(t.Context(), class)
				wantKind(t, err, tt.kind)
				c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionInstanceProfileReady)
				if c == nil || c.Reason != tt.reason || !strings.Contains(c.Message, tt.says) {
					t.Errorf("condition %+v, want %s that says %s", c, tt.reason, tt.says)
				}
				if _, err := p.Launch(t.Context(), newClaim(m5), class); err == nil {
					t.Error("launched")
				}
			})
		})
	}
}

// TestWrongRole: a profile that somebody gave another role gets its own back.
func TestWrongRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, c := inBubble(t, simec2.Config{Roles: []string{"blue", "red"}})
		status, err := p.Resolve(t.Context(), newClass(v1alpha1.EC2NodeClassSpec{Role: "blue"}))
		must(t, err)
		direct := iam.NewFromConfig(c.AWS)
		name := aws.String(status.InstanceProfile)
		_, err = direct.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: aws.String("blue")})
		must(t, err)
		_, err = direct.AddRoleToInstanceProfile(t.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: aws.String("red")})
		must(t, err)
		time.Sleep(time.Hour)
		if _, err := p.Resolve(t.Context(), newClass(v1alpha1.EC2NodeClassSpec{Role: "blue"})); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"/slipway/us-east-1/test/": "blue"}, profiles(t, c)); diff != "" {
			t.Errorf("instance profiles (-want +got):\n%s", diff)
		}
	})
}

// templateNames lists all launch templates.
func templateNames(t *testing.T, c ec2.Config) []string {
	t.Helper()
	out, err := awsec2.NewFromConfig(c.AWS).DescribeLaunchTemplates(t.Context(), &awsec2.DescribeLaunchTemplatesInput{})
	must(t, err)
	var names []string
	for _, l := range out.LaunchTemplates {
		names = append(names, aws.ToString(l.LaunchTemplateName))
	}
	return names
}

// TestSweep: what was used in the last day stays, what another process used before as long;
// a profile stays while an instance runs under it.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, c := inBubble(t, simec2.Config{Roles: []string{"blue"}})
		_, err := awsec2.NewFromConfig(c.AWS).CreateLaunchTemplate(t.Context(), foreignTemplate())
		must(t, err)
		class := newClass(v1alpha1.EC2NodeClassSpec{Role: "blue"})
		in, err := p.Launch(t.Context(), newClaim(m5), class)
		must(t, err)
		if _, err := p.Launch(t.Context(), newClaim(m5), nil); err != nil {
			t.Fatal(err)
		}

		successor, err := ec2.New(c)
		must(t, err)
		check := func(when string, templates, ofRole int) {
			t.Helper()
			must(t, successor.Sweep(t.Context()))
			if got := len(templateNames(t, c)); got != templates {
				t.Errorf("%s: %d launch templates, want %d", when, got, templates)
			}
			if got := len(profiles(t, c)); got != ofRole {
				t.Errorf("%s: %d instance profiles, want %d", when, got, ofRole)
			}
		}
		time.Sleep(time.Second) // reads lag
		check("at first", 3, 1)
		time.Sleep(20 * time.Hour)
		if _, err := successor.Launch(t.Context(), newClaim(m5), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Hour)
		check("a day later", 2, 1) // the foreign one and the default class's; an instance runs under the profile
		must(t, successor.Terminate(t.Context(), in.ID))
		time.Sleep(time.Minute)
		check("without instances", 2, 0)
		time.Sleep(26 * time.Hour)
		check("two days later", 1, 0)

		claim := newClaim(m5)
		if _, err := successor.Launch(t.Context(), claim, class); err != nil { // all is made again
			t.Fatal(err)
		}
		if n := countCalls(s, "CreateInstanceProfile"); n != 2 {
			t.Errorf("the instance profile was created %d times, want 2", n)
		}
	})
}

func foreignTemplate() *awsec2.CreateLaunchTemplateInput {
	return &awsec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("foreign"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{InstanceType: "m5.large"},
	}
}

// TestRunEnds with its context, having swept.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _ := inBubble(t, simec2.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(90 * time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := countCalls(s, "DescribeLaunchTemplates"); n != 2 {
			t.Errorf("swept %d times in 90 minutes, want 2", n)
		}
	})
}

// TestUserDataCondition: user data that cannot be merged makes its class not ready.
func TestUserDataCondition(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	good, bad := newClass(v1alpha1.EC2NodeClassSpec{UserData: aws.String("#!/bin/sh\n")}), newClass(v1alpha1.EC2NodeClassSpec{UserData: aws.String("what?")})
	status, err := p.Resolve(t.Context(), bad)
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionUserDataReady); !errors.Is(err, cloud.ErrInvalid) || c == nil || c.Reason != "Invalid" {
		t.Errorf("%v, condition %+v", err, c)
	}
	if _, err := p.Launch(t.Context(), newClaim(m5), bad); !errors.Is(err, cloud.ErrInvalid) || countCalls(s, "CreateFleet") > 0 {
		t.Errorf("launch: %v", err)
	}
	status, err = p.Resolve(t.Context(), good) // which resolves to the same otherwise
	must(t, err)
	if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionUserDataReady) {
		t.Errorf("conditions %+v", status.Conditions)
	}
	status, err = p.Resolve(t.Context(), nil)
	must(t, err)
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionUserDataReady); c != nil {
		t.Errorf("condition %+v of a class without", c)
	}
}
