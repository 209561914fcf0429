package simec2

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// image is a published EKS node image.
type image struct {
	id, name, arch, created string
	variant, release        string
}

const imageOwner = "602401143452"

// publishImages adds a release of the node images, which becomes the
// recommended one.
func (r *region) publishImages(release string) error {
	day, err := time.Parse("v20060102", release)
	if err != nil {
		return fmt.Errorf("image release %q: %w", release, err)
	}
	for _, arch := range []string{"x86_64", "arm64"} {
		for _, variant := range []string{"standard", "nvidia"} {
			name := fmt.Sprintf("amazon-eks-node-al2023-%s-%s-%s-%s", arch, variant, r.cfg.KubernetesVersion, release)
			r.images = append(r.images, image{
				id: fmt.Sprintf("ami-0%016x", hash64(r.cfg.Region, name)), name: name, arch: arch,
				created: wireTime(day), variant: variant, release: release,
			})
		}
	}
	return nil
}

// imageParameter answers an SSM path below /aws/service/eks/optimized-ami.
func (r *region) imageParameter(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/aws/service/eks/optimized-ami/"+r.cfg.KubernetesVersion+"/amazon-linux-2023/")
	if !ok {
		return "", false
	}
	parts := strings.Split(rest, "/") // arch, variant, "recommended" or a name, "image_id"
	if len(parts) != 4 || parts[3] != "image_id" {
		return "", false
	}
	for _, img := range slices.Backward(r.images) {
		if img.arch == parts[0] && img.variant == parts[1] && (parts[2] == "recommended" || parts[2] == img.name) {
			return img.id, true
		}
	}
	return "", false
}

// resolveImage finds an image by id or by resolve:ssm:PARAMETER.
func (r *region) resolveImage(ref string) (image, *apiError) {
	id := ref
	if path, ok := strings.CutPrefix(ref, "resolve:ssm:"); ok {
		if id, ok = r.imageParameter(path); !ok {
			return image{}, refuse("InvalidParameterValue", "The SSM parameter '%s' does not exist", path)
		}
	}
	for _, img := range r.images {
		if img.id == id {
			return img, nil
		}
	}
	return image{}, refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", ref)
}

type imageXML struct {
	ID             string       `xml:"imageId"`
	Name           string       `xml:"name"`
	Location       string       `xml:"imageLocation"`
	Description    string       `xml:"description"`
	State          string       `xml:"imageState"`
	OwnerID        string       `xml:"imageOwnerId"`
	OwnerAlias     string       `xml:"imageOwnerAlias"`
	Public         bool         `xml:"isPublic"`
	Architecture   string       `xml:"architecture"`
	Type           string       `xml:"imageType"`
	CreationDate   string       `xml:"creationDate"`
	Platform       string       `xml:"platformDetails"`
	RootDeviceType string       `xml:"rootDeviceType"`
	RootDevice     string       `xml:"rootDeviceName"`
	Virtualization string       `xml:"virtualizationType"`
	Hypervisor     string       `xml:"hypervisor"`
	ENA            bool         `xml:"enaSupport"`
	BootMode       string       `xml:"bootMode"`
	Volumes        []mappingXML `xml:"blockDeviceMapping>item"`
}

type mappingXML struct {
	Device              string `xml:"deviceName"`
	DeleteOnTermination bool   `xml:"ebs>deleteOnTermination"`
	Size                int64  `xml:"ebs>volumeSize"`
	Type                string `xml:"ebs>volumeType"`
	Encrypted           bool   `xml:"ebs>encrypted"`
}

func (i image) xml() imageXML {
	bootMode := "uefi-preferred"
	if i.arch == "arm64" {
		bootMode = "uefi"
	}
	return imageXML{
		ID: i.id, Name: i.name, Location: "amazon/" + i.name, Description: "EKS-optimized node image based on Amazon Linux 2023",
		State: "available", OwnerID: imageOwner, OwnerAlias: "amazon", Public: true, Architecture: i.arch, Type: "machine",
		CreationDate: i.created, Platform: "Linux/UNIX", RootDeviceType: "ebs", RootDevice: "/dev/xvda",
		Virtualization: "hvm", Hypervisor: "xen", ENA: true, BootMode: bootMode,
		Volumes: []mappingXML{{Device: "/dev/xvda", DeleteOnTermination: true, Size: defaultRootGiB, Type: "gp3"}},
	}
}

type describeImagesAnswer struct {
	Meta
	Images    []imageXML `xml:"imagesSet>item"`
	NextToken string     `xml:"nextToken,omitempty"`
}

func (r *region) describeImages(p *params, _ time.Time) (any, *apiError) {
	ids, owners := p.list("ImageId"), p.list("Owner")
	p.boolean("IncludeDeprecated")
	p.boolean("IncludeDisabled")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeImages", 1, 1000)
	if len(owners) > 0 {
		filters = append(filters, filter{name: "owner", patterns: owners})
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	all, err := pick(r.images, ids, func(i image) string { return i.id },
		"InvalidAMIID.NotFound", "The image id '[%s]' does not exist")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[image]{
		"owner":               func(image) []string { return []string{imageOwner, "amazon"} },
		"owner-id":            one(func(image) string { return imageOwner }),
		"owner-alias":         one(func(image) string { return "amazon" }),
		"image-id":            one(func(i image) string { return i.id }),
		"name":                one(func(i image) string { return i.name }),
		"architecture":        one(func(i image) string { return i.arch }),
		"state":               one(func(image) string { return "available" }),
		"image-type":          one(func(image) string { return "machine" }),
		"is-public":           one(func(image) string { return "true" }),
		"root-device-type":    one(func(image) string { return "ebs" }),
		"virtualization-type": one(func(image) string { return "hvm" }),
	}, func(image) map[string]string { return nil })
	if err != nil {
		return nil, err
	}
	answer := &describeImagesAnswer{}
	part, next := cut(pg, all)
	for _, i := range part {
		answer.Images = append(answer.Images, i.xml())
	}
	answer.NextToken = next
	return answer, nil
}
