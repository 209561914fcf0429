package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
)

// profileSettle is how long EC2 may take to hear of a new instance profile.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
const profileSettle = 10 * time.Second

// findProfile returns the instance profile nodes of the class run under. Where the class names a
// role it exists when this returns; one that is named is taken at its word: who names one may
// be without access to IAM, which has no endpoint inside of most networks.
func (p *Provider) findProfile(ctx context.Context, spec v1alpha1.EC2NodeClassSpec) (string, error) {
	switch {
	case spec.InstanceProfile != "":
		return spec.InstanceProfile, nil
	case spec.Role == "":
		return p.cfg.InstanceProfile, nil
	}
	name := p.profileOf(spec.Role)
	if p.cfg.ReadOnly {
		return name, nil
	}
	p.use.note(name, p.cfg.Clock.Now())
	if err := p.ensureProfile(ctx, name, spec.Role); err != nil {
		return "", fmt.Errorf("instance profile %s for role %s: %w", name, spec.Role, err)
	}
	return name, nil
}

// profileOf names the instance profile of a role. IAM knows no regions, and clusters of one name
// may be in several.
func (p *Provider) profileOf(role string) string {
	sum := sha256.Sum256([]byte(p.cfg.AWS.Region + " " + role))
	return "slipway-" + p.cfg.Cluster.Name + "-" + hex.EncodeToString(sum[:8])
}

// profilePath is what the cluster's instance profiles, and no others, are listed under.
func (p *Provider) profilePath() string {
	return "/slipway/" + p.cfg.AWS.Region + "/" + p.cfg.Cluster.Name + "/"
}

// ensureProfile makes the profile be there, with this role and no other.
func (p *Provider) ensureProfile(ctx context.Context, name, role string) error {
	known, err := p.listProfiles(ctx)
	if err != nil {
		return err
	}
	var roles []iamtypes.Role
	i := slices.IndexFunc(known, func(i iamtypes.InstanceProfile) bool { return aws.ToString(i.InstanceProfileName) == name })
	if i >= 0 {
		roles = known[i].Roles
	} else if err := p.createProfile(ctx, name); err != nil {
		return err
	}
	for _, r := range roles { // a profile holds one at most
		if aws.ToString(r.RoleName) == role {
			return nil
		}
		if _, err := p.iam.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{
			InstanceProfileName: aws.String(name), RoleName: r.RoleName,
		}); err != nil {
			return err
		}
	}
	if _, err := p.iam.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{
		InstanceProfileName: aws.String(name), RoleName: aws.String(role),
	}); err != nil && !hasCode(err, codeProfileFull) { // full: another process was as fast
		return err
	}
	return sleep(ctx, p.cfg.Clock, profileSettle)
}

// listProfiles lists the cluster's instance profiles. It stands for asking for one by name too: a
// policy that is scoped by path does not let anybody ask for one that is not there.
func (p *Provider) listProfiles(ctx context.Context) (all []iamtypes.InstanceProfile, err error) {
	pages := iam.NewListInstanceProfilesPaginator(p.iam, &iam.ListInstanceProfilesInput{PathPrefix: aws.String(p.profilePath())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.InstanceProfiles...)
	}
	return all, nil
}

func (p *Provider) createProfile(ctx context.Context, name string) error {
	in := &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String(name), Path: aws.String(p.profilePath())}
	for _, t := range tagList(p.commonTags(v1alpha1.EC2NodeClassSpec{})) {
		in.Tags = append(in.Tags, iamtypes.Tag{Key: t.Key, Value: t.Value})
	}
	_, err := p.iam.CreateInstanceProfile(ctx, in)
	if hasCode(err, codeProfileExists) {
		return nil
	}
	return err
}

// deleteProfile removes a profile that no instance runs under, and says whether it did.
func (p *Provider) deleteProfile(ctx context.Context, profile iamtypes.InstanceProfile) (bool, error) {
	running, err := p.describe(ctx, filter("iam-instance-profile.arn", aws.ToString(profile.Arn)),
		filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down"))
	if err != nil || len(running) > 0 {
		return false, err
	}
	for _, r := range profile.Roles {
		_, err := p.iam.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{
			InstanceProfileName: profile.InstanceProfileName, RoleName: r.RoleName,
		})
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return false, err
		}
	}
	_, err = p.iam.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: profile.InstanceProfileName})
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
