package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// maxTemplates bounds how many launch templates are remembered to exist.
const maxTemplates = 4096

// template is a launch template before it has a name.
type template struct {
	Data types.RequestLaunchTemplateData
	Tags map[string]string
}

// templateFor says how instances of the class look, in a capacity reservation if there is one.
// Their images differ by instance type, and come with each override: a new release of the
// images needs no new templates.
func (p *Provider) templateFor(
	spec v1alpha1.EC2NodeClassSpec, r resolution, userData string, in *v1alpha1.CapacityReservation,
) template {
	data := types.RequestLaunchTemplateData{
		UserData:            aws.String(base64.StdEncoding.EncodeToString([]byte(userData))),
		IamInstanceProfile:  &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: aws.String(r.profile)},
		MetadataOptions:     metadataOptions(spec.MetadataOptions),
		BlockDeviceMappings: blockDevices(spec.BlockDeviceMappings),
	}
	var groups []string
	for _, g := range r.groups {
		groups = append(groups, g.ID)
	}
	if data.NetworkInterfaces = networkInterfaces(spec, groups); data.NetworkInterfaces == nil {
		data.SecurityGroupIds = groups
	}
	if spec.DetailedMonitoring != nil {
		data.Monitoring = &types.LaunchTemplatesMonitoringRequest{Enabled: spec.DetailedMonitoring}
	}
	target(&data, spec, in)
	return template{Data: data, Tags: p.commonTags(spec)}
}

// name is a hash of the content: a template that exists under it is the right one.
func (t template) name() (string, error) {
	content, err := json.Marshal(t) // maps are marshalled in order
	if err != nil {
		return "", fmt.Errorf("launch template: %w", err)
	}
	sum := sha256.Sum256(content)
	return "slipway-" + hex.EncodeToString(sum[:16]), nil
}

// ensureTemplate returns the name of a launch template with this content, which exists.
func (p *Provider) ensureTemplate(ctx context.Context, t template) (string, error) {
	name, err := t.name()
	if err != nil {
		return "", err
	}
	p.use.note(name, p.cfg.Clock.Now())
	_, err = p.templates.at(name, func() *cached[struct{}] {
		return newCached("launch template", p.cfg.Clock, p.metrics, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, p.createTemplate(ctx, name, t)
		})
	}).get(ctx, templateMaxAge)
	if err != nil {
		return "", fmt.Errorf("launch template %s: %w", name, err)
	}
	return name, nil
}

func (p *Provider) createTemplate(ctx context.Context, name string, t template) error {
	tags := tagList(t.Tags)
	_, err := p.ec2.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(name),
		LaunchTemplateData: &t.Data,
		TagSpecifications:  []types.TagSpecification{{ResourceType: types.ResourceTypeLaunchTemplate, Tags: tags}},
	})
	if hasCode(err, codeTemplateExists) {
		return nil
	}
	return err
}

// networkInterfaces are those that have to be described; then the security groups are their own.
// The subnet, which differs by override, stays out.
func networkInterfaces(spec v1alpha1.EC2NodeClassSpec, groups []string) []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
	wanted := spec.NetworkInterfaces
	if len(wanted) == 0 {
		if spec.AssociatePublicIPAddress == nil && !spec.DelegatesPrefixes() {
			return nil
		}
		wanted = []v1alpha1.NetworkInterface{{}}
	}
	var all []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest
	for _, n := range wanted {
		described := types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{DeviceIndex: aws.Int32(n.DeviceIndex), Groups: groups}
		if n.InterfaceType != "" {
			described.NetworkCardIndex, described.InterfaceType = aws.Int32(n.NetworkCardIndex), aws.String(n.InterfaceType)
		}
		if n.NetworkCardIndex == 0 && n.DeviceIndex == 0 {
			described.AssociatePublicIpAddress = spec.AssociatePublicIPAddress
			if spec.DelegatesPrefixes() {
				described.Ipv4PrefixCount = spec.IPPrefixCount
			}
		}
		all = append(all, described)
	}
	return all
}

// metadataOptions defaults as the CRD does: IMDSv2 only, one hop.
func metadataOptions(o *v1alpha1.MetadataOptions) *types.LaunchTemplateInstanceMetadataOptionsRequest {
	if o == nil {
		o = &v1alpha1.MetadataOptions{}
	}
	out := &types.LaunchTemplateInstanceMetadataOptionsRequest{
		HttpEndpoint:            types.LaunchTemplateInstanceMetadataEndpointStateEnabled,
		HttpProtocolIpv6:        types.LaunchTemplateInstanceMetadataProtocolIpv6Disabled,
		HttpPutResponseHopLimit: aws.Int32(1),
		HttpTokens:              types.LaunchTemplateHttpTokensStateRequired,
	}
	if o.HTTPEndpoint != "" {
		out.HttpEndpoint = types.LaunchTemplateInstanceMetadataEndpointState(o.HTTPEndpoint)
	}
	if o.HTTPProtocolIPv6 != "" {
		out.HttpProtocolIpv6 = types.LaunchTemplateInstanceMetadataProtocolIpv6(o.HTTPProtocolIPv6)
	}
	if o.HTTPPutResponseHopLimit != nil {
		out.HttpPutResponseHopLimit = narrow(o.HTTPPutResponseHopLimit)
	}
	if o.HTTPTokens != "" {
		out.HttpTokens = types.LaunchTemplateHttpTokensState(o.HTTPTokens)
	}
	return out
}

// blockDevices translates the class's disks; none means those of the image.
func blockDevices(mappings []v1alpha1.BlockDeviceMapping) []types.LaunchTemplateBlockDeviceMappingRequest {
	var out []types.LaunchTemplateBlockDeviceMappingRequest
	for _, m := range mappings {
		d := types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: aws.String(m.DeviceName)}
		if e := m.EBS; e != nil {
			d.Ebs = &types.LaunchTemplateEbsBlockDeviceRequest{
				DeleteOnTermination: aws.Bool(true),
				Encrypted:           e.Encrypted,
				Iops:                narrow(e.IOPS),
				Throughput:          narrow(e.Throughput),
				VolumeType:          types.VolumeType(e.VolumeType),

				VolumeInitializationRate: e.VolumeInitializationRate,
			}
			if e.DeleteOnTermination != nil {
				d.Ebs.DeleteOnTermination = e.DeleteOnTermination
			}
			if e.VolumeSize != nil {
				d.Ebs.VolumeSize = narrow(new(ceilDiv(e.VolumeSize.Value(), giB)))
			}
			if e.KMSKeyID != "" {
				d.Ebs.KmsKeyId = aws.String(e.KMSKeyID)
			}
			if e.SnapshotID != "" {
				d.Ebs.SnapshotId = aws.String(e.SnapshotID)
			}
		}
		out = append(out, d)
	}
	return out
}

// narrow is for numbers that the schema of the CRD keeps far below the limit of an int32.
func narrow(n *int64) *int32 {
	if n == nil {
		return nil
	}
	return aws.Int32(int32(*n)) //nolint:gosec // G115: see above
}
