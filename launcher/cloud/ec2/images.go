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
	variant    string // of the alias: standard, nvidia, neuron; empty when selected otherwise
	created    string // ISO 8601, compares as text
	rootDevice string
	disks      map[string]int64 // GiB by device
}

const (
	aliasLatest = "al2023@latest"
	latest      = "latest"
)

const (
	variantStandard = "standard"
	variantNvidia   = "nvidia"
	variantNeuron   = "neuron"
)

// aliasImage is one of the images that an alias stands for. Only the standard ones must exist.
type aliasImage struct{ parameter, variant string }

// aliasImages lists the SSM parameters of an alias.
// https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
// https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id-bottlerocket.html
func aliasImages(alias, kubeVersion string) ([]aliasImage, error) {
	family, release, _ := strings.Cut(alias, "@")
	var list []aliasImage
	for _, arch := range []string{"x86_64", "arm64"} {
		switch family {
		case "al2023":
			for _, variant := range []string{variantStandard, variantNvidia, variantNeuron} {
				name := "recommended"
				if release != latest {
					name = fmt.Sprintf("amazon-eks-node-al2023-%s-%s-%s-%s", arch, variant, kubeVersion, release)
				}
				list = append(list, aliasImage{fmt.Sprintf(
					"/aws/service/eks/optimized-ami/%s/amazon-linux-2023/%s/%s/%s/image_id", kubeVersion, arch, variant, name), variant})
			}
		case "bottlerocket":
			release := strings.TrimPrefix(release, "v")
			for _, v := range []struct{ suffix, variant string }{{"", variantStandard}, {"-nvidia", variantNvidia}} {
				list = append(list, aliasImage{fmt.Sprintf(
					"/aws/service/bottlerocket/aws-k8s-%s%s/%s/%s/image_id", kubeVersion, v.suffix, arch, release), v.variant})
			}
		default:
			return nil, fmt.Errorf("%w: amiSelectorTerms: alias %q is of no family that is supported", cloud.ErrInvalid, alias)
		}
	}
	return list, nil
}

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
	variantOf := map[string]string{} // of images that must exist, by id
	var images []image
	for _, t := range terms {
		var err error
		switch {
		case t.ID != "":
			variantOf[t.ID] = ""
		case t.SSMParameter != "":
			var id string
			if id, err = p.parameter(ctx, t.SSMParameter); err == nil {
				variantOf[id] = ""
			}
		case t.Alias != "":
			err = p.findAlias(ctx, t.Alias, variantOf)
		default:
			var some []image
			some, err = p.selectImages(ctx, t)
			images = append(images, some...)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(variantOf) > 0 {
		some, err := p.imagesByID(ctx, variantOf)
		if err != nil {
			return nil, err
		}
		images = append(images, some...)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%w: no image matches spec.amiSelectorTerms", cloud.ErrInvalid)
	}
	images = sortedUnique(images, func(i image) string { return i.id })
	slices.SortFunc(images, func(a, b image) int {
		return cmp.Or(
			strings.Compare(a.arch, b.arch),
			strings.Compare(b.created, a.created), // the newest first
			strings.Compare(a.id, b.id),
		)
	})
	return images, nil
}

// parameter reads an SSM parameter.
func (p *Provider) parameter(ctx context.Context, name string) (string, error) {
	out, err := p.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String(name)})
	if err != nil {
		return "", fmt.Errorf("SSM parameter %s: %w", name, err)
	}
	return aws.ToString(out.Parameter.Value), nil
}

// findAlias adds the images of an alias for the cluster's version.
func (p *Provider) findAlias(ctx context.Context, alias string, variantOf map[string]string) error {
	version, err := p.cfg.Cluster.KubeVersion(ctx)
	if err != nil {
		return err
	}
	list, err := aliasImages(alias, version)
	if err != nil {
		return err
	}
	for _, i := range list {
		id, err := p.parameter(ctx, i.parameter)
		switch {
		case errors.Is(err, cloud.ErrNotFound) && i.variant != variantStandard:
			continue // types that need it will have no image
		case err != nil:
			return err
		}
		variantOf[id] = i.variant
	}
	return nil
}

// imagesByID reads images that must all exist.
func (p *Provider) imagesByID(ctx context.Context, variantOf map[string]string) ([]image, error) {
	missing := make(map[string]bool, len(variantOf))
	for id := range variantOf {
		missing[id] = true
	}
	found, err := p.describeImages(ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{filter("image-id", sortedKeys(variantOf)...)}})
	if err != nil {
		return nil, err
	}
	var images []image
	for _, ami := range found {
		i := imageOf(ami)
		delete(missing, i.id)
		if i.arch == "" {
			return nil, fmt.Errorf("%w: image %s has architecture %s; nodes are x86_64 or arm64", cloud.ErrInvalid, i.id, ami.Architecture)
		}
		i.variant = variantOf[i.id]
		images = append(images, i)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: no image %s that this account may use", cloud.ErrInvalid, strings.Join(sortedKeys(missing), ", "))
	}
	return images, nil
}

// selectImages finds, for each architecture, the newest image that matches the term. Others
// than nodes can have, deprecated ones and such as are not available are left out.
func (p *Provider) selectImages(ctx context.Context, t v1alpha1.AMISelectorTerm) ([]image, error) {
	in := &ec2.DescribeImagesInput{
		Owners:  []string{"self", "amazon"},
		Filters: append(selector(t.Tags, "name", t.Name), filter("state", string(types.ImageStateAvailable))),
	}
	if t.Owner != "" {
		in.Owners = []string{t.Owner}
	}
	found, err := p.describeImages(ctx, in)
	if err != nil {
		return nil, err
	}
	newest := map[string]image{} // by architecture
	for _, ami := range found {
		i := imageOf(ami)
		if best := newest[i.arch]; i.arch != "" && cmp.Or(strings.Compare(i.created, best.created), strings.Compare(i.id, best.id)) > 0 {
			newest[i.arch] = i
		}
	}
	var images []image
	for _, arch := range sortedKeys(newest) {
		images = append(images, newest[arch])
	}
	return images, nil
}

func (p *Provider) describeImages(ctx context.Context, in *ec2.DescribeImagesInput) (all []types.Image, err error) {
	in.MaxResults = aws.Int32(1000)
	pages := ec2.NewDescribeImagesPaginator(p.ec2, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
	}
	return all, nil
}

func imageOf(ami types.Image) image {
	i := image{
		id: aws.ToString(ami.ImageId), name: aws.ToString(ami.Name), arch: kubeArch(string(ami.Architecture)),
		created: aws.ToString(ami.CreationDate), rootDevice: aws.ToString(ami.RootDeviceName), disks: map[string]int64{},
	}
	for _, d := range ami.BlockDeviceMappings {
		if d.Ebs != nil {
			i.disks[aws.ToString(d.DeviceName)] = int64(aws.ToInt32(d.Ebs.VolumeSize))
		}
	}
	return i
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
