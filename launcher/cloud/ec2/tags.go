package ec2

import (
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// commonTags are on everything created for a class. The launcher's own come last: no
// class can claim another cluster's instances.
func (p *Provider) commonTags(spec v1alpha1.EC2NodeClassSpec) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, spec.Tags)
	tags[v1alpha1.TagCluster] = p.cfg.Cluster.Name
	tags["kubernetes.io/cluster/"+p.cfg.Cluster.Name] = "owned"
	return tags
}

// claimTags are on everything bought for a claim alone, from birth.
func (p *Provider) claimTags(claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec) map[string]string {
	tags := p.nodeTags(claim, spec, claim.Name)
	tags[v1alpha1.TagNodeClaim] = claim.Name
	tags[v1alpha1.TagClaimUID] = string(claim.UID)
	return tags
}

// fleetTags are on everything bought for the claims of a fleet, from birth: a call cannot
// tell its instances apart.
func (p *Provider) fleetTags(claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec) map[string]string {
	tags := p.nodeTags(claim, spec, claim.Spec.NodePool)
	tags[v1alpha1.TagFleet] = string(claim.Spec.Fleet.ID)
	return tags
}

func (p *Provider) nodeTags(claim *v1alpha1.NodeClaim, spec v1alpha1.EC2NodeClassSpec, name string) map[string]string {
	tags := p.commonTags(spec)
	if _, ok := tags["Name"]; !ok {
		tags["Name"] = p.cfg.Cluster.Name + "/" + name
	}
	tags[v1alpha1.TagNodePool] = claim.Spec.NodePool
	return tags
}

// tagList is sorted, so that equal tags make equal calls.
func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, key := range sortedKeys(tags) {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

func tagOf(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}
