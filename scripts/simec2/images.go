package simec2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Operating systems of images.
const (
	OSAL2023       = "al2023"
	OSBottlerocket = "bottlerocket"
)

// image is a node image: published by EKS, or somebody's own.
type image struct {
	id, name, arch, created string
	variant, release        string // empty for somebody's own
	os                      string
	owner                   string // account
	tags                    map[string]string
}

// Image is somebody's own image, such as a test registers.
type Image struct {
	Name    string            `json:"name"`
	Arch    string            `json:"arch"`            // x86_64 or arm64
	OS      string            `json:"os,omitempty"`    // default: al2023
	Owner   string            `json:"owner,omitempty"` // default: the region's account
	Created time.Time         `json:"created"`
	Tags    map[string]string `json:"tags,omitempty"`
}

const (
	imageOwner        = "602401143452"
	bottlerocketOwner = "092701018921"
)

// bottlerocketReleases are there from the start, oldest first.
var bottlerocketReleases = []string{"1.49.0", "1.50.0"}

// publishImages adds a release of EKS's node images, which becomes the
// recommended one.
func (r *region) publishImages(release string) error {
	day, err := time.Parse("v20060102", release)
	if err != nil {
		return fmt.Errorf("image release %q: %w", release, err)
	}
	for _, arch := range []string{"x86_64", "arm64"} {
		for _, variant := range []string{"standard", "nvidia"} {
			name := fmt.Sprintf("amazon-eks-node-al2023-%s-%s-%s-%s", arch, variant, r.cfg.KubernetesVersion, release)
			r.addImage(image{name: name, arch: arch, created: wireTime(day), variant: variant, release: release, os: OSAL2023, owner: imageOwner})
		}
	}
	return nil
}

func (r *region) publishBottlerocket(release string, day time.Time) {
	for _, arch := range []string{"x86_64", "arm64"} {
		for _, variant := range []string{"standard", "nvidia"} {
			suffix := ""
			if variant == "nvidia" {
				suffix = "-nvidia"
			}
			name := fmt.Sprintf("bottlerocket-aws-k8s-%s%s-%s-v%s-5ed15786", r.cfg.KubernetesVersion, suffix, arch, release)
			r.addImage(image{name: name, arch: arch, created: wireTime(day), variant: variant, release: release, os: OSBottlerocket, owner: bottlerocketOwner})
		}
	}
}

func (r *region) addImage(i image) string {
	i.id = fmt.Sprintf("ami-0%016x", hash64(r.cfg.Region, i.owner, i.name))
	r.images = append(r.images, i)
	return i.id
}

// AddImage registers somebody's own image and returns its id.
func (s *Server) AddImage(i Image) (string, error) {
	setDefault(&i.OS, OSAL2023)
	setDefault(&i.Owner, accountID)
	if i.Name == "" || i.Arch != "x86_64" && i.Arch != "arm64" || i.OS != OSAL2023 && i.OS != OSBottlerocket {
		return "", fmt.Errorf("image %+v: needs a name, an architecture and an operating system that are simulated", i)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.region.addImage(image{name: i.Name, arch: i.Arch, created: wireTime(i.Created), os: i.OS, owner: i.Owner, tags: i.Tags}), nil
}

// imageParameter answers SSM paths of EKS's and Bottlerocket's images.
func (r *region) imageParameter(path string) (string, bool) {
	if rest, ok := strings.CutPrefix(path, "/aws/service/eks/optimized-ami/"+r.cfg.KubernetesVersion+"/amazon-linux-2023/"); ok {
		parts := strings.Split(rest, "/") // arch, variant, "recommended" or a name, "image_id"
		if len(parts) != 4 || parts[3] != "image_id" {
			return "", false
		}
		return r.newestImage(OSAL2023, parts[0], parts[1], func(i image) bool { return parts[2] == "recommended" || parts[2] == i.name })
	}
	if rest, ok := strings.CutPrefix(path, "/aws/service/bottlerocket/aws-k8s-"+r.cfg.KubernetesVersion); ok {
		parts := strings.Split(rest, "/") // "" or "-nvidia", arch, "latest" or a release, "image_id"
		if len(parts) != 4 || parts[3] != "image_id" || parts[0] != "" && parts[0] != "-nvidia" {
			return "", false
		}
		variant := "standard"
		if parts[0] != "" {
			variant = "nvidia"
		}
		return r.newestImage(OSBottlerocket, parts[1], variant, func(i image) bool { return parts[2] == "latest" || parts[2] == i.release })
	}
	id, ok := r.cfg.Parameters[path]
	return id, ok
}

func (r *region) newestImage(os, arch, variant string, wanted func(image) bool) (string, bool) {
	for _, img := range slices.Backward(r.images) {
		if img.os == os && img.arch == arch && img.variant == variant && wanted(img) {
			return img.id, true
		}
	}
	return "", false
}

// ownerNames are what an owner goes by in requests.
func (i image) ownerNames() []string {
	switch i.owner {
	case imageOwner, bottlerocketOwner:
		return []string{i.owner, "amazon"}
	case accountID:
		return []string{i.owner, "self"}
	}
	return []string{i.owner}
}

// volumes are the image's disks.
func (i image) volumes() []mappingXML {
	disk := func(device string, gib int64) mappingXML {
		return mappingXML{Device: device, DeleteOnTermination: true, Size: gib, Type: "gp3"}
	}
	if i.os == OSBottlerocket {
		return []mappingXML{disk("/dev/xvda", 2), disk("/dev/xvdb", defaultRootGiB)}
	}
	return []mappingXML{disk("/dev/xvda", defaultRootGiB)}
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
	OwnerAlias     string       `xml:"imageOwnerAlias,omitempty"`
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
	Tags           []tagXML     `xml:"tagSet>item"`
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
	x := imageXML{
		ID: i.id, Name: i.name, Location: i.owner + "/" + i.name, Description: "Node image of " + i.os,
		State: "available", OwnerID: i.owner, Architecture: i.arch, Type: "machine",
		CreationDate: i.created, Platform: "Linux/UNIX", RootDeviceType: "ebs", RootDevice: "/dev/xvda",
		Virtualization: "hvm", Hypervisor: "xen", ENA: true, BootMode: bootMode,
		Volumes: i.volumes(), Tags: tagSet(i.tags),
	}
	if names := i.ownerNames(); len(names) > 1 && names[1] == "amazon" {
		x.OwnerAlias, x.Public = "amazon", true
	}
	return x
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
		"owner":               image.ownerNames,
		"owner-id":            one(func(i image) string { return i.owner }),
		"owner-alias":         func(i image) []string { return i.ownerNames()[1:] },
		"image-id":            one(func(i image) string { return i.id }),
		"name":                one(func(i image) string { return i.name }),
		"architecture":        one(func(i image) string { return i.arch }),
		"state":               one(func(image) string { return "available" }),
		"image-type":          one(func(image) string { return "machine" }),
		"is-public":           one(func(i image) string { return strconv.FormatBool(i.owner != accountID) }),
		"root-device-type":    one(func(image) string { return "ebs" }),
		"virtualization-type": one(func(image) string { return "hvm" }),
	}, func(i image) map[string]string { return i.tags })
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
