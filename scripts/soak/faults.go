package soak

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

// ec2Faults are what goes wrong at EC2, each for some seconds.
func ec2Faults() map[string][]simec2.Fault {
	return map[string][]simec2.Fault{
		"launches are throttled":           {{Action: "CreateFleet", Code: "RequestLimitExceeded"}},
		"launches fail":                    {{Action: "CreateFleet", Code: "InternalError", Rate: 0.5}},
		"answers of launches are lost":     {{Action: "CreateFleet", Code: "InternalError", AfterEffect: true, Rate: 0.5}},
		"reads fail":                       {{Action: "DescribeInstances", Code: "ServiceUnavailable", Rate: 0.7}},
		"terminations are throttled":       {{Action: "TerminateInstances", Code: "RequestLimitExceeded"}},
		"answers of terminations are lost": {{Action: "TerminateInstances", Code: "InternalError", AfterEffect: true}},
		"everything is slow":               {{Action: "*", Latency: simec2.Duration(1500 * time.Millisecond)}},
		"everything fails now and then":    {{Action: "*", Code: "InternalError", Rate: 0.2}},
	}
}

const minFault, maxFault = 2 * time.Second, 8 * time.Second

// soldOut is what some capacity is during a fault: nothing in one zone, no spot, or nothing
// of some sizes.
func (s *soak) soldOut() simec2.CapacityRule {
	switch s.rnd.IntN(3) {
	case 0:
		return simec2.CapacityRule{Zone: s.pick("us-east-1a", "us-east-1b", "us-east-1c")}
	case 1:
		return simec2.CapacityRule{CapacityType: simec2.Spot}
	default:
		return simec2.CapacityRule{}
	}
}

// plenty undoes soldOut.
const plenty = 1 << 20

// fault has something go wrong, in place of what did.
func (s *soak) fault(context.Context) error {
	if err := s.endFault(s.calm); err != nil {
		return err
	}
	s.calm = time.Now().Add(s.between(minFault, maxFault))
	all := ec2Faults()
	names := sortedKeys(all)
	i := s.rnd.IntN(len(names) + 2)
	if i < len(names) {
		s.report.count("EC2: " + names[i])
		return s.Sim.SetFaults(all[names[i]]...)
	}
	rule := s.soldOut()
	s.scarce = &rule
	s.report.count(fmt.Sprintf("EC2: sold out (zone %q, type %q)", rule.Zone, rule.CapacityType))
	return s.Sim.SetCapacity(rule)
}

// endFault ends the fault in force when it is time to.
func (s *soak) endFault(now time.Time) error {
	if s.calm.IsZero() || now.Before(s.calm) {
		return nil
	}
	s.calm = time.Time{}
	if err := s.Sim.SetFaults(); err != nil {
		return err
	}
	if s.scarce == nil {
		return nil
	}
	// Rules add up: this very one has to be undone.
	rule := *s.scarce
	rule.Instances, s.scarce = plenty, nil
	return s.Sim.SetCapacity(rule)
}

// endFaults ends all that goes wrong.
func (s *soak) endFaults() error {
	s.losses.next.Store(0)
	return s.endFault(s.calm)
}

// terminate ends an instance behind the launcher's back.
func (s *soak) terminate(ctx context.Context) error {
	now, err := s.look(ctx)
	if err != nil {
		return err
	}
	alive := now.alive()
	if len(alive) == 0 {
		return nil
	}
	return s.Sim.Terminate(alive[s.rnd.IntN(len(alive))].ID)
}

func (s *soak) deleteClaim(ctx context.Context) error {
	now, err := s.look(ctx)
	if err != nil || len(now.claims) == 0 {
		return err
	}
	return s.Client.Delete(ctx, &now.claims[s.rnd.IntN(len(now.claims))])
}

func (s *soak) deleteNode(ctx context.Context) error {
	now, err := s.look(ctx)
	if err != nil || len(now.nodes) == 0 {
		return err
	}
	return s.Client.Delete(ctx, &now.nodes[s.rnd.IntN(len(now.nodes))])
}

// losses has kubelets not register.
type losses struct{ next atomic.Int32 }

func (s *soak) loseNode(context.Context) error {
	s.losses.next.Add(1)
	return nil
}

// register loses the next of the nodes that are to be lost.
func (l *losses) register(_ simec2.Instance, node *corev1.Node) *corev1.Node {
	for {
		n := l.next.Load()
		if n <= 0 {
			return node
		}
		if l.next.CompareAndSwap(n, n-1) {
			return nil
		}
	}
}
