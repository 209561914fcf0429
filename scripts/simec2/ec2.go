package simec2

import (
	"net/http"
	"time"
)

// ec2Action serves one action of the EC2 Query protocol.
type ec2Action func(p *params, now time.Time) (any, *apiError)

func (r *region) ec2Actions() map[string]ec2Action {
	return map[string]ec2Action{
		"CreateFleet":                   r.createFleet,
		"CreateLaunchTemplate":          r.createLaunchTemplate,
		"CreateTags":                    r.createTags,
		"DeleteLaunchTemplate":          r.deleteLaunchTemplate,
		"DescribeAvailabilityZones":     r.describeAvailabilityZones,
		"DescribeCapacityReservations":  r.describeCapacityReservations,
		"DescribeImages":                r.describeImages,
		"DescribeInstances":             r.describeInstances,
		"DescribeInstanceStatus":        r.describeInstanceStatus,
		"DescribeInstanceTypeOfferings": r.describeInstanceTypeOfferings,
		"DescribeInstanceTypes":         r.describeInstanceTypes,
		"DescribeLaunchTemplates":       r.describeLaunchTemplates,
		"DescribeSecurityGroups":        r.describeSecurityGroups,
		"DescribeSpotPriceHistory":      r.describeSpotPriceHistory,
		"DescribeSubnets":               r.describeSubnets,
		"TerminateInstances":            r.terminateInstances,
	}
}

// serveEC2 runs an action, and tells watchers when it may have changed
// instances. The caller holds the lock.
func (s *Server) serveEC2(p *params, action string, now time.Time, requestID string) (any, *apiError) {
	handler, ok := s.region.ec2Actions()[action]
	if !ok {
		return nil, refuse("InvalidAction", "The action %s is not valid for this web service or not simulated", action)
	}
	if p.boolean("DryRun") {
		return nil, &apiError{
			code: "DryRunOperation", message: "Request would have succeeded, but DryRun flag is set.",
			status: http.StatusPreconditionFailed,
		}
	}
	answer, err := handler(p, now)
	if err != nil {
		return nil, err
	}
	switch action {
	case "CreateFleet", "TerminateInstances":
		s.region.advance(now) // delays of zero are over at once
		s.announce()
	}
	if m, ok := answer.(interface{ stamp(action, id string) }); ok {
		m.stamp(action, requestID)
	}
	return answer, nil
}
