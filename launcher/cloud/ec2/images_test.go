package ec2_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// TestSelectImages: in every way, the newest of each architecture.
func TestSelectImages(t *testing.T) {
	cfg := simec2.Config{Unthrottled: true, ImageReleases: []string{"v20260701", "v20260722"}}
	cfg.Parameters = map[string]string{"/nothing/there": "ami-0123456789abcdef0"}
	s := startEC2(t, cfg)
	add := func(name, arch, owner string, day int, tags map[string]string) string {
		id, err := s.AddImage(simec2.Image{
			Name: name, Arch: arch, Owner: owner, Tags: tags, Created: time.Date(2026, 7, day, 0, 0, 0, 0, time.UTC),
		})
		must(t, err)
		return id
	}
	blue := map[string]string{"team": "blue"}
	add("mine-1", "x86_64", "", 1, blue)
	add("mine-2", "x86_64", "", 2, blue)
	add("mine-arm", "arm64", "", 1, map[string]string{"team": "green"})
	add("mine-2", "x86_64", "444455556666", 3, blue)

	type term = v1alpha1.AMISelectorTerm
	for _, tt := range []struct {
		name  string
		terms []term
		want  []string // architecture and name
		err   string
	}{
		{"no terms", nil, []string{
			"amd64 amazon-eks-node-al2023-x86_64-nvidia-1.36-v20260722", "amd64 amazon-eks-node-al2023-x86_64-standard-1.36-v20260722",
			"arm64 amazon-eks-node-al2023-arm64-nvidia-1.36-v20260722", "arm64 amazon-eks-node-al2023-arm64-standard-1.36-v20260722"}, ""},
		{"a release of AL2023", []term{{Alias: "al2023@v20260701"}}, []string{
			"amd64 amazon-eks-node-al2023-x86_64-nvidia-1.36-v20260701", "amd64 amazon-eks-node-al2023-x86_64-standard-1.36-v20260701",
			"arm64 amazon-eks-node-al2023-arm64-nvidia-1.36-v20260701", "arm64 amazon-eks-node-al2023-arm64-standard-1.36-v20260701"}, ""},
		{"a release that is not", []term{{Alias: "al2023@v20200101"}}, nil, "v20200101"},
		{"Bottlerocket", []term{{Alias: "bottlerocket@latest"}}, []string{
			"amd64 bottlerocket-aws-k8s-1.36-nvidia-x86_64-v1.50.0-5ed15786", "amd64 bottlerocket-aws-k8s-1.36-x86_64-v1.50.0-5ed15786",
			"arm64 bottlerocket-aws-k8s-1.36-arm64-v1.50.0-5ed15786", "arm64 bottlerocket-aws-k8s-1.36-nvidia-arm64-v1.50.0-5ed15786"}, ""},
		{"a release of Bottlerocket", []term{{Alias: "bottlerocket@v1.49.0"}}, []string{
			"amd64 bottlerocket-aws-k8s-1.36-nvidia-x86_64-v1.49.0-5ed15786", "amd64 bottlerocket-aws-k8s-1.36-x86_64-v1.49.0-5ed15786",
			"arm64 bottlerocket-aws-k8s-1.36-arm64-v1.49.0-5ed15786", "arm64 bottlerocket-aws-k8s-1.36-nvidia-arm64-v1.49.0-5ed15786"}, ""},
		{"tags, the newest of our own", []term{{Tags: blue}}, []string{"amd64 mine-2"}, ""},
		{"any value of a tag", []term{{Tags: map[string]string{"team": "*"}}}, []string{"amd64 mine-2", "arm64 mine-arm"}, ""},
		{"name", []term{{Name: "mine-1"}}, []string{"amd64 mine-1"}, ""},
		{"name with any end", []term{{Name: "mine-*"}}, []string{"amd64 mine-2", "arm64 mine-arm"}, ""},
		{"tags and name", []term{{Tags: blue, Name: "mine-1"}}, []string{"amd64 mine-1"}, ""},
		{"owner by account", []term{{Name: "mine-*", Owner: "444455556666"}}, []string{"amd64 mine-2"}, ""},
		{"owner amazon has none of ours", []term{{Name: "mine-*", Owner: "amazon"}}, nil, "no image matches spec.amiSelectorTerms"},
		{"terms are put together", []term{{Name: "mine-1"}, {Tags: map[string]string{"team": "green"}}}, []string{"amd64 mine-1", "arm64 mine-arm"}, ""},
		{"SSM parameter", []term{{SSMParameter: "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/arm64/standard/recommended/image_id"}},
			[]string{"arm64 amazon-eks-node-al2023-arm64-standard-1.36-v20260722"}, ""},
		{"SSM parameter that is not", []term{{SSMParameter: "/not/there"}}, nil, "/not/there"},
		{"SSM parameter of no image", []term{{SSMParameter: "/nothing/there"}}, nil, "no image ami-0123456789abcdef0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, err := newProvider(t, s).Resolve(t.Context(), newClass(v1alpha1.EC2NodeClassSpec{AMISelectorTerms: tt.terms}))
			if tt.err != "" {
				if !errors.Is(err, cloud.ErrInvalid) && !errors.Is(err, cloud.ErrNotFound) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("err = %v, want one that names %s", err, tt.err)
				}
				return
			}
			must(t, err)
			var got []string
			for _, ami := range status.AMIs {
				got = append(got, ami.Architecture+" "+ami.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

// TestImageByAccelerator: types with GPUs get the variant with drivers, of both families.
// TestImagesFollowTheCluster: after an upgrade of the control plane an alias stands for images of
// the new version, at the next look; what is known stays in use while the version is not.
func TestImagesFollowTheCluster(t *testing.T) {
	addNew := func(s *simec2.Server, arch string) string {
		id, err := s.AddImage(simec2.Image{Name: "of-1.37-" + arch, Arch: arch})
		must(t, err)
		return id
	}
	another, err := simec2.New(simec2.Config{}) // an image has the same id everywhere
	must(t, err)
	cfg := simec2.Config{Unthrottled: true, Parameters: map[string]string{}}
	for _, arch := range []string{"x86_64", "arm64"} {
		cfg.Parameters["/aws/service/eks/optimized-ami/1.37/amazon-linux-2023/"+arch+"/standard/recommended/image_id"] = addNew(another, arch)
	}
	s := startEC2(t, cfg)
	addNew(s, "x86_64")
	addNew(s, "arm64")

	clock := clocktesting.NewFakeClock(time.Now())
	version, unknown := "1.36", error(nil)
	p := newProvider(t, s, func(c *ec2.Config) {
		c.Clock = clock
		c.Cluster.KubeVersion = func(context.Context) (string, error) { return version, unknown }
	})
	images := func() (names []string) {
		clock.Step(time.Minute)
		status, err := p.Resolve(t.Context(), nil)
		must(t, err)
		for _, ami := range status.AMIs {
			names = append(names, ami.Name)
		}
		return names
	}
	before := images()
	if len(before) != 4 || !strings.Contains(before[0], "1.36") {
		t.Errorf("images %v", before)
	}
	version = "1.37"
	after := []string{"of-1.37-x86_64", "of-1.37-arm64"}
	if diff := cmp.Diff(after, images()); diff != "" {
		t.Errorf("after the upgrade (-want +got):\n%s", diff)
	}
	unknown = errors.New("no API server")
	if diff := cmp.Diff(after, images()); diff != "" {
		t.Errorf("without an API server (-want +got):\n%s", diff)
	}
}

func TestImageByAccelerator(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	for _, alias := range []string{"al2023@latest", "bottlerocket@latest"} {
		class := newClass(v1alpha1.EC2NodeClassSpec{AMISelectorTerms: []v1alpha1.AMISelectorTerm{{Alias: alias}}})
		status, err := p.Resolve(t.Context(), class)
		must(t, err)
		names := map[string]string{}
		for _, ami := range status.AMIs {
			names[ami.ID] = ami.Name
		}
		for instanceType, gpu := range map[string]bool{"g5.xlarge": true, "m5.large": false} {
			in, err := p.Launch(t.Context(), newClaim(
				accepted(instanceType, "us-east-1a", "on-demand", "1"), accepted(instanceType, "us-east-1b", "on-demand", "1")), class)
			must(t, err)
			if got := strings.Contains(names[in.ImageID], "nvidia"); got != gpu {
				t.Errorf("%s of %s runs %s", instanceType, alias, names[in.ImageID])
			}
		}
	}
}

// TestInstanceSettings: what the class says of the instance itself reaches it.
func TestInstanceSettings(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	p := newProvider(t, s)
	size := resource.MustParse("70Gi")
	for _, tt := range []struct {
		name string
		spec v1alpha1.EC2NodeClassSpec
		want simec2.Instance
	}{
		{"nothing said", v1alpha1.EC2NodeClassSpec{}, simec2.Instance{VolumeGiB: 20}},
		{"monitoring", v1alpha1.EC2NodeClassSpec{DetailedMonitoring: new(true)}, simec2.Instance{VolumeGiB: 20, Monitored: true}},
		{"a public address", v1alpha1.EC2NodeClassSpec{AssociatePublicIPAddress: new(true)}, simec2.Instance{VolumeGiB: 20, PublicIP: "true"}},
		{"no public address", v1alpha1.EC2NodeClassSpec{AssociatePublicIPAddress: new(false)}, simec2.Instance{VolumeGiB: 20, PublicIP: "false"}},
		{"prefixes", v1alpha1.EC2NodeClassSpec{IPPrefixCount: new(int32(3))}, simec2.Instance{VolumeGiB: 20, Prefixes: 3}},
		{"a snapshot read in fast, and a context", v1alpha1.EC2NodeClassSpec{
			Context: new("x"),
			BlockDeviceMappings: []v1alpha1.BlockDeviceMapping{{DeviceName: "/dev/xvda", EBS: &v1alpha1.BlockDevice{
				VolumeSize: &size, SnapshotID: "snap-0", VolumeInitializationRate: new(int32(100)),
			}}},
		}, simec2.Instance{VolumeGiB: 70}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bought, err := p.Launch(t.Context(), newClaim(m5), newClass(tt.spec))
			must(t, err)
			for _, in := range s.Instances() {
				if in.ID == bought.ID {
					got := simec2.Instance{VolumeGiB: in.VolumeGiB, Monitored: in.Monitored, PublicIP: in.PublicIP, Prefixes: in.Prefixes}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("instance (-want +got):\n%s", diff)
					}
				}
			}
		})
	}
}
