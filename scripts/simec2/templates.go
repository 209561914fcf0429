package simec2

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// launchTemplate has a single version: the action that adds more is not
// simulated.
type launchTemplate struct {
	id, name  string
	created   time.Time
	visibleAt time.Time
	tags      map[string]string
	data      templateData
}

// templateData is what the simulator keeps of LaunchTemplateData.
type templateData struct {
	imageID        string
	instanceType   string
	userData       string // base64
	securityGroups []string
	profile        string // name or ARN
	hopLimit       int
	httpTokens     string
	volumes        []volume
	preference     string // for capacity reservations
	targetID       string // of the capacity reservation to launch into
	block          bool   // which is a capacity block
	monitored      bool   // per minute
	publicIP       string // true or false; empty: as the subnet says
	prefixes       int    // of IPv4 addresses, /28 each
	interfaces     []Interface
	tags           map[string]map[string]string // by resource type
}

type volume struct {
	device string
	gib    int64
}

const defaultRootGiB = 20

// rootGiB is the size of the volume with the kubelet's directory: the first
// mapping of the image's device for it, or the image's own size.
func (d templateData) rootGiB(os string) int64 {
	device := "/dev/xvda"
	if os == OSBottlerocket {
		device = "/dev/xvdb"
	}
	for _, v := range d.volumes {
		if v.device == device && v.gib > 0 {
			return v.gib
		}
	}
	return defaultRootGiB
}

// profileARN is that of the profile, which exists.
func (r *region) profileARN(ref string) string {
	if i, ok := r.identities.profiles[ref]; ok {
		return i.arn()
	}
	return ref
}

var templateName = regexp.MustCompile(`^[A-Za-z0-9().\-/_]{3,128}$`)

func parseTemplateData(p *params) templateData {
	d := templateData{
		imageID:        p.str("ImageId"),
		instanceType:   p.str("InstanceType"),
		userData:       p.str("UserData"),
		securityGroups: p.list("SecurityGroupId"),
		tags:           parseTagSpecs(p, "instance", "volume", "network-interface", "spot-instances-request"),
	}
	if raw, err := base64.StdEncoding.DecodeString(d.userData); err != nil {
		p.reject("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	} else if len(raw) > 16<<10 {
		p.reject("InvalidParameterValue", "User data is limited to 16384 bytes")
	}
	profile := p.sub("IamInstanceProfile")
	name, arn := profile.str("Name"), profile.str("Arn")
	if name != "" && arn != "" {
		profile.reject("InvalidParameterCombination", "The parameters 'Name' and 'Arn' may not be used in combination")
	}
	d.profile = name + arn

	parseTargeting(p, &d)
	imds := p.sub("MetadataOptions")
	imds.oneOf("HttpEndpoint", "enabled", "disabled")
	imds.oneOf("HttpProtocolIpv6", "enabled", "disabled")
	imds.oneOf("InstanceMetadataTags", "enabled", "disabled")
	d.httpTokens = imds.oneOf("HttpTokens", "required", "optional")
	d.hopLimit = imds.integer("HttpPutResponseHopLimit", 1, 1, 64)

	d.monitored = p.sub("Monitoring").boolean("Enabled")
	p.boolean("EbsOptimized")
	for _, b := range p.structs("BlockDeviceMapping") {
		d.volumes = append(d.volumes, parseVolume(b))
	}
	described, ofInstance := p.structs("NetworkInterface"), len(d.securityGroups) > 0
	for _, n := range described {
		i := Interface{
			Card: n.integer("NetworkCardIndex", 0, 0, 63), Device: n.integer("DeviceIndex", 0, 0, 63),
			Type: n.oneOf("InterfaceType", "interface", "efa-only"),
		}
		setDefault(&i.Type, "interface")
		d.interfaces = append(d.interfaces, i)
		if public := n.str("AssociatePublicIpAddress"); public != "" {
			if d.publicIP = public; len(described) > 1 {
				n.reject("InvalidParameterCombination", "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces.")
			}
		}
		d.prefixes += n.integer("Ipv4PrefixCount", 0, 0, 50)
		n.boolean("DeleteOnTermination")
		n.str("Description")
		if ofInstance {
			n.reject("InvalidParameterCombination", "Network interfaces and an instance-level security groups may not be specified on the same request")
		}
		if groups := n.list("SecurityGroupId"); i.Card == 0 && i.Device == 0 {
			d.securityGroups = groups
		}
	}
	return d
}

func parseVolume(p *params) volume {
	v := volume{device: p.required("DeviceName")}
	ebs := p.sub("Ebs")
	ebs.boolean("DeleteOnTermination")
	ebs.boolean("Encrypted")
	ebs.integer("Iops", 0, 100, 256_000)
	ebs.str("KmsKeyId")
	ebs.str("SnapshotId")
	ebs.integer("Throughput", 0, 125, 2000)
	if rate := ebs.integer("VolumeInitializationRate", 0, 100, 300); rate > 0 && !ebs.has("SnapshotId") {
		ebs.reject("InvalidParameterCombination", "VolumeInitializationRate needs a SnapshotId")
	}
	ebs.oneOf("VolumeType", "gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")
	v.gib = int64(ebs.integer("VolumeSize", 0, 1, 65_536))
	return v
}

type launchTemplateXML struct {
	ID             string   `xml:"launchTemplateId"`
	Name           string   `xml:"launchTemplateName"`
	CreateTime     string   `xml:"createTime"`
	CreatedBy      string   `xml:"createdBy"`
	DefaultVersion int64    `xml:"defaultVersionNumber"`
	LatestVersion  int64    `xml:"latestVersionNumber"`
	Tags           []tagXML `xml:"tagSet>item"`
}

func (t *launchTemplate) xml() launchTemplateXML {
	return launchTemplateXML{
		ID: t.id, Name: t.name, CreateTime: wireTime(t.created), CreatedBy: "arn:aws:iam::" + accountID + ":root",
		DefaultVersion: 1, LatestVersion: 1, Tags: tagSet(t.tags),
	}
}

// wireTime is the timestamp form of the Query protocol.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type launchTemplateAnswer struct {
	Meta
	LaunchTemplate launchTemplateXML `xml:"launchTemplate"`
}

func (r *region) createLaunchTemplate(p *params, now time.Time) (any, *apiError) {
	token := p.str("ClientToken")
	name := p.required("LaunchTemplateName")
	p.str("VersionDescription")
	if !p.has("LaunchTemplateData") {
		p.reject("MissingParameter", "The request must contain the parameter LaunchTemplateData")
	}
	data := parseTemplateData(p.sub("LaunchTemplateData"))
	tags := parseTagSpecs(p, "launch-template")["launch-template"]
	if name != "" && !templateName.MatchString(name) {
		p.reject("InvalidLaunchTemplateName.MalformedException",
			"Launch template name '%s' is malformed: 3 to 128 letters, digits and ().-/_", name)
	}
	for _, g := range data.securityGroups {
		if _, known := r.groupName(g); !known {
			p.reject("InvalidGroup.NotFound", "The security group '%s' does not exist", g)
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return r.once("CreateLaunchTemplate", token, p.hash(), func() (any, *apiError) {
		for _, t := range r.templates {
			if t.name == name {
				return nil, refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
			}
		}
		if tags == nil {
			tags = map[string]string{}
		}
		t := &launchTemplate{
			id: r.id("lt-"), name: name, created: now, visibleAt: now.Add(*r.cfg.ReadLag), tags: tags, data: data,
		}
		r.templates[t.id] = t
		return &launchTemplateAnswer{LaunchTemplate: t.xml()}, nil
	})
}

// findTemplate resolves a template by id or by name.
func (r *region) findTemplate(id, name string) (*launchTemplate, *apiError) {
	switch {
	case id != "" && name != "":
		return nil, refuse("InvalidParameterCombination", "Give a launch template's id or its name, not both")
	case id != "":
		if t, ok := r.templates[id]; ok {
			return t, nil
		}
		return nil, refuse("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	case name != "":
		for _, t := range r.templates {
			if t.name == name {
				return t, nil
			}
		}
		return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
	}
	return nil, refuse("MissingParameter", "A launch template's id or name must be given")
}

func (r *region) deleteLaunchTemplate(p *params, _ time.Time) (any, *apiError) {
	id, name := p.str("LaunchTemplateId"), p.str("LaunchTemplateName")
	if err := p.finish(); err != nil {
		return nil, err
	}
	t, err := r.findTemplate(id, name)
	if err != nil {
		return nil, err
	}
	delete(r.templates, t.id)
	return &launchTemplateAnswer{LaunchTemplate: t.xml()}, nil
}

type describeLaunchTemplatesAnswer struct {
	Meta
	LaunchTemplates []launchTemplateXML `xml:"launchTemplates>item"`
	NextToken       string              `xml:"nextToken,omitempty"`
}

func (r *region) describeLaunchTemplates(p *params, now time.Time) (any, *apiError) {
	ids, names := p.list("LaunchTemplateId"), p.list("LaunchTemplateName")
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeLaunchTemplates", 1, 200)
	if err := p.finish(); err != nil {
		return nil, err
	}
	var all []*launchTemplate
	for _, t := range r.templates {
		if !t.visibleAt.After(now) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *launchTemplate) int { return strings.Compare(a.id, b.id) })
	all, err := pick(all, ids, func(t *launchTemplate) string { return t.id },
		"InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.")
	if err != nil {
		return nil, err
	}
	all, err = pick(all, names, func(t *launchTemplate) string { return t.name },
		"InvalidLaunchTemplateName.NotFoundException", "At least one of the launch templates specified in the request does not exist: %s")
	if err != nil {
		return nil, err
	}
	all, err = selectBy(all, filters, fields[*launchTemplate]{
		"launch-template-name": one(func(t *launchTemplate) string { return t.name }),
		"create-time":          one(func(t *launchTemplate) string { return wireTime(t.created) }),
	}, func(t *launchTemplate) map[string]string { return t.tags })
	if err != nil {
		return nil, err
	}
	answer := &describeLaunchTemplatesAnswer{}
	part, next := cut(pg, all)
	for _, t := range part {
		answer.LaunchTemplates = append(answer.LaunchTemplates, t.xml())
	}
	answer.NextToken = next
	return answer, nil
}

// pick keeps the named ones of all, in their order, and refuses a name that is
// not there. No names mean all.
func pick[T any](all []T, names []string, nameOf func(T) string, code, format string) ([]T, *apiError) {
	if len(names) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	var out []T
	for _, v := range all {
		if wanted[nameOf(v)] {
			out = append(out, v)
			delete(wanted, nameOf(v))
		}
	}
	for _, n := range names {
		if wanted[n] {
			return nil, &apiError{code: code, message: fmt.Sprintf(format, n), status: 400}
		}
	}
	return out, nil
}
