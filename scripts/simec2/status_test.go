package simec2

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func TestStatusChecks(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BootDelay = 10 * time.Second })
	ids := r.launch(r.fleet(r.template("one"), 2, []string{"m5.large"}))
	if err := r.Impair(CheckSystem, ids[0]); err == nil {
		t.Error("an instance that does not run yet was impaired")
	}
	r.clock.Step(time.Minute)
	impaired := func(filter string) (found []string) {
		t.Helper()
		out, err := r.ec2.DescribeInstanceStatus(r.ctx, &ec2.DescribeInstanceStatusInput{Filters: filterBy(filter, "impaired")})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.InstanceStatuses {
			found = append(found, aws.ToString(s.InstanceId))
		}
		return found
	}
	if got := impaired("system-status.status"); got != nil {
		t.Errorf("impaired without cause: %v", got)
	}
	if err := r.Impair(CheckSystem, ids[0]); err != nil {
		t.Fatal(err)
	}
	since := r.clock.Now()
	r.clock.Step(time.Minute)
	if diff := cmp.Diff(ids[:1], impaired("system-status.status")); diff != "" {
		t.Errorf("system checks (-want +got):\n%s", diff)
	}
	if got := impaired("instance-status.status"); got != nil {
		t.Errorf("another check fails, too: %v", got)
	}
	all, err := r.ec2.DescribeInstanceStatus(r.ctx, &ec2.DescribeInstanceStatusInput{})
	if err != nil || len(all.InstanceStatuses) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, s := range all.InstanceStatuses {
		if aws.ToString(s.InstanceId) != ids[0] {
			continue
		}
		if s.SystemStatus.Status != ec2types.SummaryStatusImpaired || s.InstanceStatus.Status != ec2types.SummaryStatusOk ||
			!aws.ToTime(s.SystemStatus.Details[0].ImpairedSince).Equal(since.Truncate(time.Second)) && !aws.ToTime(s.SystemStatus.Details[0].ImpairedSince).Equal(since) {
			t.Errorf("status %+v of %+v", s.SystemStatus, s)
		}
	}
	if err := r.Impair("", ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := impaired("system-status.status"); got != nil {
		t.Errorf("still impaired: %v", got)
	}
	if err := r.Impair("gpu", ids[0]); err == nil {
		t.Error("an unknown check was taken")
	}
}
