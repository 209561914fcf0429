package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// replacementCrashes are between the steps in which drifted nodes are replaced.
func replacementCrashes() []crash {
	substitutes := func(s scene) []v1alpha1.NodeClaim {
		return slices.DeleteFunc(slices.Clone(s.claims), func(c v1alpha1.NodeClaim) bool { return len(c.Spec.Replaces) == 0 })
	}
	leave := func(s scene) int {
		return len(slices.DeleteFunc(slices.Clone(s.claims), func(c v1alpha1.NodeClaim) bool { return !leaving(c) }))
	}
	return []crash{
		{
			name:   "substitutes-written",
			faults: []simec2.Fault{{Action: "CreateFleet", Latency: slow}},
			at:     func(_ *world, s scene) bool { return len(substitutes(s)) == crashPods && len(s.instances) == crashPods },
		},
		{
			name: "substitutes-bought",
			at: func(_ *world, s scene) bool {
				return every(crashPods, substitutes(s), bought) && len(s.nodes) == crashPods && leave(s) == 0
			},
		},
		{
			name:   "replaced-about-to-end",
			faults: []simec2.Fault{{Action: "TerminateInstances", Latency: slow}},
			at:     func(_ *world, s scene) bool { return leave(s) == crashPods && every(2*crashPods, s.instances, works) },
		},
		{
			name:   "replaced-ended",
			faults: []simec2.Fault{{Action: "DescribeInstances", Latency: slow}},
			at: func(_ *world, s scene) bool {
				return leave(s) == crashPods && len(slices.DeleteFunc(slices.Clone(s.instances), works)) == crashPods
			},
		},
	}
}

// TestLauncherKilledDuringReplacement kills the launcher between any two steps of the
// replacement of drifted nodes. Its successor ends it, and buys nothing twice.
func TestLauncherKilledDuringReplacement(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 2 * time.Second })
	for _, c := range replacementCrashes() {
		t.Run(c.name, func(t *testing.T) {
			w := &world{Stack: w.Stack, t: t, ctx: t.Context()}
			w.crashPool(c)
			w.create(c.pods()...)
			w.settled(c.name, crashPods)
			w.faults(c.faults...)
			p := pool(c.name, never)
			w.change(p, func() { p.Spec.Template.Metadata.Labels = map[string]string{"generation": "2"} })
			w.crash(c)
			w.eventually("all nodes are replaced", func() error {
				s := w.look(c.name)
				old := slices.ContainsFunc(s.nodes, func(n corev1.Node) bool { return n.Labels["generation"] != "2" })
				if old || len(s.nodes) != crashPods || !every(crashPods, s.claims, initialized) || !every(crashPods, s.pods, onNode) {
					return fmt.Errorf("there are %s, old nodes %v, all initialized %v, bound %v", s, old, every(crashPods, s.claims, initialized), every(crashPods, s.pods, onNode))
				}
				return nil
			})
			if n := len(w.look(c.name).instances); n != 2*crashPods {
				t.Errorf("%d instances were bought in place of %d", n-crashPods, crashPods)
			}
		})
	}
}
