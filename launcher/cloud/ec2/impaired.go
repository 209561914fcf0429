package ec2

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// Impaired finds the account's running instances that fail a status check. Checks cannot be
// filtered by tags, but by their outcome: one call a kind of check, which mostly finds nothing.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
func (p *Provider) Impaired(ctx context.Context) (map[string]cloud.Impairment, error) {
	found := map[string]cloud.Impairment{}
	for _, check := range []struct {
		name, filter string
		since        func(types.InstanceStatus) *time.Time
	}{
		{"system status check", "system-status.status", func(s types.InstanceStatus) *time.Time { return impairedSince(s.SystemStatus) }},
		{"instance status check", "instance-status.status", func(s types.InstanceStatus) *time.Time { return impairedSince(s.InstanceStatus) }},
		{"attached EBS status check", "attached-ebs-status.status", func(s types.InstanceStatus) *time.Time { return ebsImpairedSince(s.AttachedEbsStatus) }},
	} {
		pages := ec2.NewDescribeInstanceStatusPaginator(p.ec2, &ec2.DescribeInstanceStatusInput{
			Filters: []types.Filter{filter(check.filter, string(types.SummaryStatusImpaired))}, MaxResults: aws.Int32(1000),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", check.name, err)
			}
			for _, s := range page.InstanceStatuses {
				id, since := aws.ToString(s.InstanceId), aws.ToTime(check.since(s))
				if known, ok := found[id]; !ok || !since.IsZero() && since.Before(known.Since) {
					found[id] = cloud.Impairment{Check: check.name, Since: since}
				}
			}
		}
	}
	return found, nil
}

// impairedSince is when the first failing test of a check began to fail; nil where EC2 does not say.
func impairedSince(s *types.InstanceStatusSummary) (first *time.Time) {
	if s == nil {
		return nil
	}
	for _, d := range s.Details {
		first = earlier(first, d.ImpairedSince)
	}
	return first
}

func ebsImpairedSince(s *types.EbsStatusSummary) (first *time.Time) {
	if s == nil {
		return nil
	}
	for _, d := range s.Details {
		first = earlier(first, d.ImpairedSince)
	}
	return first
}

// earlier is the earlier of two times that may not be known.
func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}
