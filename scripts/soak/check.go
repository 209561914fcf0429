package soak

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// scene is what there is at one look.
type scene struct {
	wanted    map[string]int32 // replicas of each Deployment
	pods      []corev1.Pod
	claims    []v1alpha1.NodeClaim
	nodes     []corev1.Node
	instances []simec2.Instance // that were ever bought
}

func (s *soak) look(ctx context.Context) (scene, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now := scene{wanted: s.wanted}
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(stack.Namespace)); err != nil {
		return now, err
	}
	var claims v1alpha1.NodeClaimList
	if err := s.Client.List(ctx, &claims); err != nil {
		return now, err
	}
	var nodes corev1.NodeList
	if err := s.Client.List(ctx, &nodes); err != nil {
		return now, err
	}
	now.pods, now.claims, now.nodes, now.instances = pods.Items, claims.Items, nodes.Items, s.Sim.Instances()
	return now, nil
}

// unsettled says what is not as it should be once nothing happens any more.
func (s *soak) unsettled(ctx context.Context) []string { return s.wrong(ctx, scene.unsettled) }

// left says what is there although nobody needs it.
func (s *soak) left(ctx context.Context) []string { return s.wrong(ctx, scene.left) }

func (s *soak) wrong(ctx context.Context, check func(scene) []string) []string {
	now, err := s.look(ctx)
	if err != nil {
		return []string{"the API server says: " + err.Error()}
	}
	return check(now)
}

func (s scene) running() (n int) {
	for _, p := range s.pods {
		if p.Spec.NodeName != "" && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

func (s scene) total() (n int32) {
	for _, replicas := range s.wanted {
		n += replicas
	}
	return n
}

// alive are the instances that cost money.
func (s scene) alive() []simec2.Instance {
	return slices.DeleteFunc(slices.Clone(s.instances), func(in simec2.Instance) bool {
		return in.State == simec2.StateTerminated || in.State == simec2.StateShuttingDown
	})
}

// unsettled: every replica runs, every claim has its instance and node, and nothing else is
// there.
func (s scene) unsettled() (wrong []string) {
	running := map[string]int32{}
	for _, p := range s.pods {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			running[p.Labels["app"]]++
			continue
		}
		wrong = append(wrong, fmt.Sprintf("pod %s is %s on node %q: %s", p.Name, p.Status.Phase, p.Spec.NodeName, why(p)))
	}
	for _, name := range sortedKeys(s.wanted) {
		if running[name] != s.wanted[name] {
			wrong = append(wrong, fmt.Sprintf("Deployment %s has %d of %d replicas", name, running[name], s.wanted[name]))
		}
	}
	return append(wrong, s.unmatched()...)
}

func why(p corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	return "no reason is given"
}

// unmatched are the claims, instances and nodes that lack each other.
func (s scene) unmatched() (wrong []string) {
	claimOf := map[string]string{} // by instance
	nodes := map[string]bool{}
	for _, c := range s.claims {
		switch {
		case c.DeletionTimestamp != nil:
			wrong = append(wrong, fmt.Sprintf("claim %s is on its way out", c.Name))
		case !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionInitialized):
			wrong = append(wrong, fmt.Sprintf("claim %s (instance %q) has no node that is ready", c.Name, c.Status.InstanceID))
		}
		claimOf[c.Status.InstanceID], nodes[c.Status.NodeName] = c.Name, true
	}
	for _, in := range s.alive() {
		if claimOf[in.ID] == "" {
			wrong = append(wrong, fmt.Sprintf("instance %s (claim %s) has no claim", in.ID, in.Tags[v1alpha1.TagNodeClaim]))
		}
		delete(claimOf, in.ID)
	}
	for _, id := range sortedKeys(claimOf) {
		wrong = append(wrong, fmt.Sprintf("claim %s has no instance (%q)", claimOf[id], id))
	}
	for _, n := range s.nodes {
		if !nodes[n.Name] {
			wrong = append(wrong, fmt.Sprintf("node %s has no claim", n.Name))
		}
	}
	return wrong
}

// left is all that there is.
func (s scene) left() (all []string) {
	for _, p := range s.pods {
		all = append(all, "pod "+p.Name)
	}
	for _, c := range s.claims {
		all = append(all, "claim "+c.Name)
	}
	for _, n := range s.nodes {
		all = append(all, "node "+n.Name)
	}
	for _, in := range s.instances {
		if in.State != simec2.StateTerminated {
			all = append(all, fmt.Sprintf("instance %s, %s", in.ID, in.State))
		}
	}
	return all
}

// fleets are the sizes of all fleets that there ever were.
func (s *soak) fleets() map[string]int {
	sizes := map[string]int{}
	s.observer.Read(func(v *observe.View) {
		for _, c := range v.Claims {
			if f := c.Spec.Fleet; f != nil {
				sizes[string(f.ID)] = int(f.Size)
			}
		}
	})
	return sizes
}

// boughtTwice lists the claims for which more than one instance was bought, the fleets for
// which there were more than they have claims, and the instances that were bought for none.
func boughtTwice(instances []simec2.Instance, fleets map[string]int) (wrong []string) {
	type buyer struct{ kind, id string }
	bought := map[buyer][]string{}
	for _, in := range instances {
		b := buyer{"claim", in.Tags[v1alpha1.TagClaimUID]}
		if fleet, ok := in.Tags[v1alpha1.TagFleet]; ok {
			b = buyer{"fleet", fleet}
		}
		bought[b] = append(bought[b], in.ID)
	}
	for b, ids := range bought {
		allowed := 1
		switch {
		case b.kind == "fleet":
			allowed = fleets[b.id]
		case b.id == "":
			allowed = 0
		}
		if len(ids) > allowed {
			wrong = append(wrong, fmt.Sprintf("%s %q, of %d, bought %v", b.kind, b.id, allowed, ids))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
