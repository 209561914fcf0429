package simec2

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func filterBy(name string, values ...string) []ec2types.Filter {
	return []ec2types.Filter{{Name: aws.String(name), Values: values}}
}

// describe lists the ids of the instances that the filters let through.
func (r *rig) describe(filters []ec2types.Filter) []string {
	r.t.Helper()
	out, err := r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{Filters: filters})
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, res := range out.Reservations {
		for _, i := range res.Instances {
			ids = append(ids, aws.ToString(i.InstanceId))
		}
	}
	return ids
}

func TestDescribeLagsBehindWrites(t *testing.T) {
	r := newRig(t)
	ids := r.launch(r.fleet(r.template("one"), 1, []string{"m5.large"}))
	byID := &ec2.DescribeInstancesInput{InstanceIds: ids}

	_, err := r.ec2.DescribeInstances(r.ctx, byID)
	wantCode(t, err, "InvalidInstanceID.NotFound")
	if got := r.describe(filterBy("instance-state-name", "pending", "running")); got != nil {
		t.Errorf("a fresh instance is already listed: %v", got)
	}
	r.clock.Step(defaultReadLag)
	if diff := cmp.Diff(ids, r.describe(filterBy("instance-state-name", "pending", "running"))); diff != "" {
		t.Errorf("after the lag (-want +got):\n%s", diff)
	}

	if _, err := r.ec2.CreateTags(r.ctx, &ec2.CreateTagsInput{Resources: ids, Tags: tagList("Name", "web")}); err != nil {
		t.Fatal(err)
	}
	if got := r.describe(filterBy("tag:Name", "web")); got != nil {
		t.Errorf("a fresh tag is already seen on %v", got)
	}
	r.clock.Step(defaultReadLag)
	if diff := cmp.Diff(ids, r.describe(filterBy("tag:Name", "w*"))); diff != "" {
		t.Errorf("tag after the lag (-want +got):\n%s", diff)
	}
}

func TestInstanceLifecycle(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BootDelay, c.ShutdownDelay = 10*time.Second, 5*time.Second })
	state := func() string {
		if all := r.Instances(); len(all) == 1 {
			return all[0].State
		}
		return "gone"
	}
	changed := r.Changed()
	ids := r.launch(r.fleet(r.template("one"), 1, []string{"m5.large"}))
	<-changed
	var got []string
	observe := func() { got = append(got, state()) }
	observe()
	r.clock.Step(10 * time.Second)
	observe()
	out, err := r.ec2.TerminateInstances(r.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	if c := out.TerminatingInstances[0]; c.PreviousState.Name != "running" || c.CurrentState.Name != "shutting-down" {
		t.Errorf("change %s to %s, want running to shutting-down", c.PreviousState.Name, c.CurrentState.Name)
	}
	observe()
	r.clock.Step(5 * time.Second)
	observe()
	r.clock.Step(time.Hour)
	observe()
	if diff := cmp.Diff([]string{"pending", "running", "shutting-down", "terminated", "gone"}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	_, err = r.ec2.TerminateInstances(r.ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	wantCode(t, err, "InvalidInstanceID.NotFound")
}

func TestChangesAreAnnouncedWithoutCalls(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BootDelay = time.Minute })
	r.launch(r.fleet(r.template("one"), 1, []string{"m5.large"}))
	changed := r.Changed()
	for !r.clock.HasWaiters() { // the server's loop has yet to arm its timer
		time.Sleep(time.Millisecond)
	}
	r.clock.Step(time.Minute)
	select {
	case <-changed:
	case <-r.ctx.Done():
		t.Fatal("the boot was not announced")
	}
	if s := r.Instances()[0].State; s != StateRunning {
		t.Errorf("state %s, want running", s)
	}
}

func TestDescribeInstancesPages(t *testing.T) {
	r := newRig(t)
	want := r.launch(r.fleet(r.template("one"), 12, []string{"m5.large"}))
	r.clock.Step(defaultReadLag)
	pages := ec2.NewDescribeInstancesPaginator(r.ec2, &ec2.DescribeInstancesInput{
		Filters: filterBy("instance-state-name", "running"), MaxResults: aws.Int32(5),
	})
	var got []string
	calls := 0
	for ; pages.HasMorePages(); calls++ {
		out, err := pages.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range out.Reservations {
			for _, i := range res.Instances {
				got = append(got, aws.ToString(i.InstanceId))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || calls != 3 {
		t.Errorf("%d pages, want 3; ids (-want +got):\n%s", calls, diff)
	}
	_, err := r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{NextToken: aws.String("bogus")})
	wantCode(t, err, "InvalidNextToken")
	_, err = r.ec2.DescribeInstances(r.ctx, &ec2.DescribeInstancesInput{InstanceIds: want, MaxResults: aws.Int32(5)})
	wantCode(t, err, "InvalidParameterCombination")
}

func TestDescribeInstanceTypes(t *testing.T) {
	r := newRig(t)
	pages := ec2.NewDescribeInstanceTypesPaginator(r.ec2, &ec2.DescribeInstanceTypesInput{Filters: []ec2types.Filter{
		{Name: aws.String("processor-info.supported-architecture"), Values: []string{"arm64"}},
		{Name: aws.String("supported-usage-class"), Values: []string{"on-demand"}},
		{Name: aws.String("bare-metal"), Values: []string{"false"}},
	}})
	n := 0
	for pages.HasMorePages() {
		out, err := pages.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.InstanceTypes {
			n++
			want := r.InstanceTypes()[string(it.InstanceType)]
			if want.Arch != "arm64" || want.BareMetal || aws.ToInt64(it.MemoryInfo.SizeInMiB) != want.MemoryMiB ||
				int(aws.ToInt32(it.NetworkInfo.MaximumNetworkInterfaces)) != want.ENIs {
				t.Errorf("%s is not what the catalogue says", it.InstanceType)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d arm64 types on all pages, want more than a page", n)
	}
	out, err := r.ec2.DescribeInstanceTypes(r.ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []ec2types.InstanceType{"g5.12xlarge"}})
	if err != nil {
		t.Fatal(err)
	}
	gpu := out.InstanceTypes[0].GpuInfo
	if got := gpu.Gpus[0]; aws.ToString(got.Name) != "A10G" || aws.ToInt32(got.Count) != 4 || aws.ToInt32(gpu.TotalGpuMemoryInMiB) != 4*24<<10 {
		t.Errorf("unexpected GPUs %+v", gpu)
	}
	_, err = r.ec2.DescribeInstanceTypes(r.ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []ec2types.InstanceType{"m99.large"}})
	wantCode(t, err, "InvalidInstanceType")
}

func TestOfferingsAndSpotPricesAgree(t *testing.T) {
	r := newRig(t)
	offered := map[string]bool{}
	op := ec2.NewDescribeInstanceTypeOfferingsPaginator(r.ec2, &ec2.DescribeInstanceTypeOfferingsInput{LocationType: ec2types.LocationTypeAvailabilityZone})
	for op.HasMorePages() {
		out, err := op.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.InstanceTypeOfferings {
			offered[string(o.InstanceType)+" "+aws.ToString(o.Location)] = true
		}
	}
	priced := map[string]bool{}
	sp := ec2.NewDescribeSpotPriceHistoryPaginator(r.ec2, &ec2.DescribeSpotPriceHistoryInput{
		ProductDescriptions: []string{"Linux/UNIX"}, StartTime: aws.Time(r.clock.Now()),
	})
	for sp.HasMorePages() {
		out, err := sp.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.SpotPriceHistory {
			priced[string(p.InstanceType)+" "+aws.ToString(p.AvailabilityZone)] = true
		}
	}
	if diff := cmp.Diff(offered, priced); diff != "" || len(offered) < 1200 {
		t.Errorf("%d offerings; (-offered +priced):\n%s", len(offered), diff)
	}
}

func TestDescribeNetworkAndImages(t *testing.T) {
	r := newRig(t)
	owned := filterBy("tag:kubernetes.io/cluster/slipway-dev", "owned")
	subnets, err := r.ec2.DescribeSubnets(r.ctx, &ec2.DescribeSubnetsInput{Filters: owned})
	if err != nil {
		t.Fatal(err)
	}
	var zones []string
	for _, s := range subnets.Subnets {
		zones = append(zones, aws.ToString(s.AvailabilityZone)+" "+aws.ToString(s.AvailabilityZoneId))
	}
	if diff := cmp.Diff([]string{"us-east-1a use1-az1", "us-east-1b use1-az2", "us-east-1c use1-az3"}, zones); diff != "" {
		t.Errorf("subnets' zones (-want +got):\n%s", diff)
	}
	groups, err := r.ec2.DescribeSecurityGroups(r.ctx, &ec2.DescribeSecurityGroupsInput{Filters: owned})
	if err != nil || len(groups.SecurityGroups) != 1 || aws.ToString(groups.SecurityGroups[0].GroupId) != r.SecurityGroup() {
		t.Errorf("security groups %+v (%v), want the one", groups, err)
	}
	az, err := r.ec2.DescribeAvailabilityZones(r.ctx, &ec2.DescribeAvailabilityZonesInput{})
	if err != nil || len(az.AvailabilityZones) != 3 {
		t.Errorf("zones %+v (%v), want three", az, err)
	}
	images, err := r.ec2.DescribeImages(r.ctx, &ec2.DescribeImagesInput{
		Owners: []string{"amazon"}, Filters: filterBy("name", "amazon-eks-node-al2023-arm64-standard-1.36-*"),
	})
	if err != nil || len(images.Images) != 2 {
		t.Fatalf("images %+v (%v), want two releases", images, err)
	}
	if !slices.ContainsFunc(images.Images, func(i ec2types.Image) bool { return aws.ToString(i.ImageId) == r.image("arm64") }) {
		t.Error("the recommended image is not described")
	}
}

func TestLaunchTemplates(t *testing.T) {
	r := newRig(t)
	id := r.template("one")
	if again := r.template("one"); again != id {
		t.Errorf("the same token gave %s after %s", again, id)
	}
	in := r.templateInput("one")
	in.ClientToken = aws.String("other")
	_, err := r.ec2.CreateLaunchTemplate(r.ctx, in)
	wantCode(t, err, "InvalidLaunchTemplateName.AlreadyExistsException")
	in = r.templateInput("two")
	in.LaunchTemplateData.KernelId = aws.String("aki-1")
	_, err = r.ec2.CreateLaunchTemplate(r.ctx, in)
	wantCode(t, err, "UnknownParameter")

	byName := &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{"one"}}
	_, err = r.ec2.DescribeLaunchTemplates(r.ctx, byName)
	wantCode(t, err, "InvalidLaunchTemplateName.NotFoundException") // not visible yet
	r.template("three")
	r.clock.Step(defaultReadLag)
	var names []string
	pages := ec2.NewDescribeLaunchTemplatesPaginator(r.ec2, &ec2.DescribeLaunchTemplatesInput{
		Filters: filterBy("tag:cluster", "slipway-dev"), MaxResults: aws.Int32(1),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, lt := range out.LaunchTemplates {
			names = append(names, aws.ToString(lt.LaunchTemplateName))
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"one", "three"}, names); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	if _, err := r.ec2.DeleteLaunchTemplate(r.ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: aws.String(id)}); err != nil {
		t.Fatal(err)
	}
	_, err = r.ec2.DescribeLaunchTemplates(r.ctx, byName)
	wantCode(t, err, "InvalidLaunchTemplateName.NotFoundException")
}
