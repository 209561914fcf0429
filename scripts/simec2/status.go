package simec2

import (
	"fmt"
	"time"
)

// Checks that a running instance may fail.
const (
	CheckSystem   = "system"   // of its host
	CheckInstance = "instance" // of itself: its operating system hangs
	CheckEBS      = "ebs"      // of its volumes
)

// Impair has instances fail a check, until it is told "" of them.
func (s *Server) Impair(check string, ids ...string) error {
	switch check {
	case "", CheckSystem, CheckInstance, CheckEBS:
	default:
		return fmt.Errorf("check %q: unknown", check)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	for _, id := range ids {
		if m := s.region.machines[id]; m == nil || m.State != StateRunning {
			return fmt.Errorf("instance %s: not running", id)
		}
	}
	for _, id := range ids {
		m := s.region.machines[id]
		m.Impaired, m.impairedSince = check, now
	}
	s.announce()
	return nil
}

type instanceStatusXML struct {
	ID       string   `xml:"instanceId"`
	Zone     string   `xml:"availabilityZone"`
	State    stateXML `xml:"instanceState"`
	System   checkXML `xml:"systemStatus"`
	Instance checkXML `xml:"instanceStatus"`
	EBS      checkXML `xml:"attachedEbsStatus"`
}

type checkXML struct {
	Status  string           `xml:"status"`
	Details []checkDetailXML `xml:"details>item"`
}

type checkDetailXML struct {
	Name          string `xml:"name"`
	Status        string `xml:"status"`
	ImpairedSince string `xml:"impairedSince,omitempty"`
}

type describeStatusAnswer struct {
	Meta
	Statuses  []instanceStatusXML `xml:"instanceStatusSet>item"`
	NextToken string              `xml:"nextToken,omitempty"`
}

// describeInstanceStatus tells of running instances, as EC2 does unless all are asked for.
func (r *region) describeInstanceStatus(p *params, now time.Time) (any, *apiError) {
	filters := parseFilters(p)
	pg := parsePage(p, "DescribeInstanceStatus", 5, 1000)
	if err := p.finish(); err != nil {
		return nil, err
	}
	var running []*machine
	for _, m := range r.visible(now) {
		if m.State == StateRunning {
			running = append(running, m)
		}
	}
	status := func(check string) func(*machine) []string {
		return one(func(m *machine) string { return m.check(check).Status })
	}
	all, err := selectBy(running, filters, fields[*machine]{
		"availability-zone":          one(func(m *machine) string { return m.Zone }),
		"system-status.status":       status(CheckSystem),
		"instance-status.status":     status(CheckInstance),
		"attached-ebs-status.status": status(CheckEBS),
	}, nil)
	if err != nil {
		return nil, err
	}
	answer := &describeStatusAnswer{}
	part, next := cut(pg, all)
	for _, m := range part {
		answer.Statuses = append(answer.Statuses, instanceStatusXML{
			ID: m.ID, Zone: m.Zone, State: stateXML{stateCode(m.State), m.State},
			System: m.check(CheckSystem), Instance: m.check(CheckInstance), EBS: m.check(CheckEBS),
		})
	}
	answer.NextToken = next
	return answer, nil
}

// check is how the machine does in one of its checks.
func (m *machine) check(check string) checkXML {
	if m.Impaired == check {
		return checkXML{"impaired", []checkDetailXML{{"reachability", "failed", wireTime(m.impairedSince)}}}
	}
	return checkXML{"ok", []checkDetailXML{{"reachability", "passed", ""}}}
}
