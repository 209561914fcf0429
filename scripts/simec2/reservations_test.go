package simec2

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func (r *rig) reservations(in *ec2.DescribeCapacityReservationsInput) map[string]int32 {
	r.t.Helper()
	found := map[string]int32{}
	pages := ec2.NewDescribeCapacityReservationsPaginator(r.ec2, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(r.ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, c := range page.CapacityReservations {
			found[*c.CapacityReservationId] = *c.AvailableInstanceCount
		}
	}
	return found
}

func (r *rig) targeting(name, id string) string {
	r.t.Helper()
	in := r.templateInput(name)
	in.LaunchTemplateData.CapacityReservationSpecification = &ec2types.LaunchTemplateCapacityReservationSpecificationRequest{
		CapacityReservationPreference: ec2types.CapacityReservationPreferenceCapacityReservationsOnly,
		CapacityReservationTarget:     &ec2types.CapacityReservationTarget{CapacityReservationId: aws.String(id)},
	}
	out, err := r.ec2.CreateLaunchTemplate(r.ctx, in)
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.LaunchTemplate.LaunchTemplateId
}

func twoReservations(c *Config) {
	c.Reservations = []CapacityReservation{
		{ID: "cr-1", InstanceType: "m5.large", Zone: "us-east-1a", Instances: 2, EndDate: time.Date(2026, 7, 23, 13, 0, 0, 0, time.UTC)},
		{ID: "cr-2", InstanceType: "m5.large", Zone: "us-east-1a", Instances: 1, Match: "open", Tags: map[string]string{"team": "blue"}},
	}
}

func TestDescribeCapacityReservations(t *testing.T) {
	r := newRig(t, twoReservations)
	filter := func(name, value string) []ec2types.Filter {
		return []ec2types.Filter{{Name: aws.String(name), Values: []string{value}}}
	}
	for _, tt := range []struct {
		name string
		in   ec2.DescribeCapacityReservationsInput
		want map[string]int32
	}{
		{"all, page by page", ec2.DescribeCapacityReservationsInput{MaxResults: aws.Int32(1)}, map[string]int32{"cr-1": 2, "cr-2": 1}},
		{"by id", ec2.DescribeCapacityReservationsInput{CapacityReservationIds: []string{"cr-2"}}, map[string]int32{"cr-2": 1}},
		{"by tag", ec2.DescribeCapacityReservationsInput{Filters: filter("tag:team", "blue")}, map[string]int32{"cr-2": 1}},
		{"by end", ec2.DescribeCapacityReservationsInput{Filters: filter("end-date-type", "limited")}, map[string]int32{"cr-1": 2}},
	} {
		if diff := cmp.Diff(tt.want, r.reservations(&tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	_, err := r.ec2.DescribeCapacityReservations(r.ctx, &ec2.DescribeCapacityReservationsInput{CapacityReservationIds: []string{"cr-0"}})
	wantCode(t, err, "InvalidCapacityReservationId.NotFound")
	_, err = r.ec2.DescribeCapacityReservations(r.ctx, &ec2.DescribeCapacityReservationsInput{Filters: filter("start-date", "x")})
	if err == nil {
		t.Error("a filter that is not simulated is answered")
	}
	r.clock.Step(2 * time.Hour)
	if diff := cmp.Diff(map[string]int32{"cr-2": 1}, r.reservations(&ec2.DescribeCapacityReservationsInput{Filters: filter("state", "active")})); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
}

func TestReservationsAreCounted(t *testing.T) {
	r := newRig(t, twoReservations)
	left := func() map[string]int32 { return r.reservations(&ec2.DescribeCapacityReservationsInput{}) }
	template := r.targeting("target", "cr-1")
	ids := r.launch(r.fleet(template, 2, []string{"m5.large"}))
	if diff := cmp.Diff(map[string]int32{"cr-1": 0, "cr-2": 1}, left()); len(ids) != 2 || diff != "" {
		t.Errorf("launched %v; left (-want +got):\n%s", ids, diff)
	}
	out, err := r.ec2.CreateFleet(r.ctx, r.fleet(template, 1, []string{"m5.large"}))
	if err != nil || len(out.Errors) != 1 || *out.Errors[0].ErrorCode != "ReservationCapacityExceeded" {
		t.Errorf("one too many: %+v, %v", out, err)
	}
	if _, err := r.ec2.TerminateInstances(r.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	r.launch(r.fleet(r.template("plain"), 1, []string{"m5.large"})) // falls into the open one
	if diff := cmp.Diff(map[string]int32{"cr-1": 1, "cr-2": 0}, left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	out, err = r.ec2.CreateFleet(r.ctx, r.fleet(template, 1, []string{"m5.xlarge"}))
	if err != nil || len(out.Errors) != 1 || *out.Errors[0].ErrorCode != "InvalidParameterValue" {
		t.Errorf("another type than the reservation's: %+v, %v", out, err)
	}
	if err := r.SetReservations(); err != nil {
		t.Fatal(err)
	}
	for _, in := range r.Instances() {
		if in.State == StateShuttingDown {
			t.Errorf("%s ends with its reservation", in.ID)
		}
	}
}
