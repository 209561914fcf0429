package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// image is one AMI that nodes of a class can be started from.
type image struct {
	id, name   string
	arch       string // as in kubernetes.io/arch
	variant    string // of the alias: standard, nvidia, neuron; empty when selected by id
	created    string // ISO 8601, compares as text
	rootDevice string
	rootGiB    int64 // of the root volume; 0 when the image does not say
}

const aliasLatest = "al2023@latest"

// variants of the AL2023 image that EKS publishes, and their architectures in
// EC2's words. Only the standard ones must exist.
// https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
var variants = []struct{ arch, variant string }{
	{"x86_64", variantStandard},
	{"arm64", variantStandard},
	{"x86_64", variantNvidia},
	{"arm64", variantNvidia},
	{"x86_64", variantNeuron},
}

const (
	variantStandard = "standard"
	variantNvidia   = "nvidia"
	variantNeuron   = "neuron"
)

// kubeArch translates EC2's name of an architecture; empty for one nodes cannot have.
func kubeArch(ec2Arch string) string {
	switch ec2Arch {
	case "x86_64":
		return "amd64"
	case "arm64":
		return "arm64"
	}
	return ""
}

// findImages resolves the terms to images, in an order that does not change.
func (p *Provider) findImages(ctx context.Context, terms []v1alpha1.AMISelectorTerm) ([]image, error) {
	if len(terms) == 0 {
		terms = []v1alpha1.AMISelectorTerm{{Alias: aliasLatest}}
	}
	variantOf := map[string]string{} // by image id
	for _, t := range terms {
		switch {
		case t.ID != "":
			if _, ok := variantOf[t.ID]; !ok {
				variantOf[t.ID] = ""
			}
		case t.Alias == aliasLatest:
			if err := p.findLatest(ctx, variantOf); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%w: amiSelectorTerms: alias %q is not supported; use %s or an id", cloud.ErrInvalid, t.Alias, aliasLatest)
		}
	}
	return p.describeImages(ctx, variantOf)
}

// findLatest adds the images that EKS recommends for the cluster's version.
func (p *Provider) findLatest(ctx context.Context, variantOf map[string]string) error {
	for _, v := range variants {
		name := fmt.Sprintf("/aws/service/eks/optimized-ami/%s/amazon-linux-2023/%s/%s/recommended/image_id",
			p.cfg.Cluster.KubeVersion, v.arch, v.variant)
		out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
		switch {
		case errors.Is(err, cloud.ErrNotFound) && v.variant != variantStandard:
			continue // types that need it will have no image
		case err != nil:
			return fmt.Errorf("SSM parameter %s: %w", name, err)
		}
		variantOf[aws.ToString(out.Parameter.Value)] = v.variant
	}
	return nil
}

// describeImages reads the images by id. All must exist.
func (p *Provider) describeImages(ctx context.Context, variantOf map[string]string) ([]image, error) {
	missing := make(map[string]bool, len(variantOf))
	for id := range variantOf {
		missing[id] = true
	}
	ids := sortedKeys(variantOf)
	out, err := p.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("image-id", ids...)}})
	if err != nil {
		return nil, err
	}
	var images []image
	for _, ami := range out.Images {
		id := aws.ToString(ami.ImageId)
		delete(missing, id)
		arch := kubeArch(string(ami.Architecture))
		if arch == "" {
			return nil, fmt.Errorf("%w: image %s has architecture %s; nodes are x86_64 or arm64", cloud.ErrInvalid, id, ami.Architecture)
		}
		images = append(images, image{
			id: id, name: aws.ToString(ami.Name), arch: arch, variant: variantOf[id],
			created:    aws.ToString(ami.CreationDate),
			rootDevice: aws.ToString(ami.RootDeviceName),
			rootGiB:    rootVolumeGiB(ami),
		})
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: no image %s that this account may use", cloud.ErrInvalid, strings.Join(sortedKeys(missing), ", "))
	}
	slices.SortFunc(images, func(a, b image) int {
		return cmp.Or(
			strings.Compare(a.arch, b.arch),
			strings.Compare(b.created, a.created), // the newest first
			strings.Compare(a.id, b.id),
		)
	})
	return images, nil
}

func rootVolumeGiB(ami types.Image) int64 {
	for _, d := range ami.BlockDeviceMappings {
		if aws.ToString(d.DeviceName) == aws.ToString(ami.RootDeviceName) && d.Ebs != nil {
			return int64(aws.ToInt32(d.Ebs.VolumeSize))
		}
	}
	return 0
}

// imageFor chooses the image an instance type is started from: of its architecture,
// with the drivers its accelerators need; an image selected by id is taken at its word.
func imageFor(images []image, h Hardware) (image, bool) {
	want := variantStandard
	switch {
	case h.nvidia():
		want = variantNvidia
	case h.Neurons > 0:
		want = variantNeuron
	}
	i := slices.IndexFunc(images, func(i image) bool {
		return i.arch == h.Arch && (i.variant == want || i.variant == "")
	})
	if i < 0 {
		return image{}, false
	}
	return images[i], true
}
