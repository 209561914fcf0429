package allocate_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/allocate"
	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// twoZones sells oneType's in two zones, the second being cheaper.
type twoZones struct{ oneType }

func (c twoZones) Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	types, err := c.oneType.Types(ctx, class)
	o := types[0].Offerings[0]
	o.Zone, o.Price = "b", o.Price-0.01
	types[0].Offerings = append(types[0].Offerings, o)
	return types, err
}

// of puts a pod into a group.
func of(group, least string, pods ...*corev1.Pod) []*corev1.Pod {
	for _, p := range pods {
		p.Labels = map[string]string{v1alpha1.LabelPodGroup: group, v1alpha1.LabelPodGroupMin: least}
	}
	return pods
}

// inOneZone has pods want to be in the same zone as the rest of their group.
func inOneZone(pods ...*corev1.Pod) []*corev1.Pod {
	for _, p := range pods {
		p.Annotations = map[string]string{v1alpha1.PodGroupTopologyAnnotation: corev1.LabelTopologyZone}
	}
	return pods
}

func inZone(zone string, p *corev1.Pod) *corev1.Pod {
	p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: zone}
	return p
}

// large pods have a node each.
func large(names string) (pods []*corev1.Pod) {
	for name := range strings.FieldsSeq(names) {
		pods = append(pods, pod(name, "1500m"))
	}
	return pods
}

// TestGroups: as many of a group as must start together get reservations, or none.
func TestGroups(t *testing.T) {
	const planned = "planned in b"
	for _, tt := range []struct {
		name  string
		nodes int64 // that may be bought; 0 is no limit
		pods  []*corev1.Pod
		want  map[types.UID]string // how things stand with each pod; a prefix
	}{
		{
			"all have places", 0, of("g", "3", large("g1 g2 g3")...),
			map[types.UID]string{"g1": planned, "g2": planned, "g3": planned},
		},
		{
			"too few have come", 0, of("g", "4", large("g1 g2")...),
			map[types.UID]string{
				"g1": "waiting: waits for 2 more pods of group default/g",
				"g2": "waiting: waits for 2 more pods of group default/g",
			},
		},
		{
			"too few have places: others get them", 2, append(of("g", "3", large("g1 g2 g3")...), large("z1 z2")...),
			map[types.UID]string{
				"g1": "unlaunchable: 3 pods of group default/g must start together, and only", "g2": "unlaunchable: 3 pods", "g3": "unlaunchable: 3 pods",
				"z1": planned, "z2": planned,
			},
		},
		{
			"the reason names the limit", 2, of("g", "3", large("g1 g2 g3")...),
			map[types.UID]string{
				"g1": "unlaunchable: 3 pods of group default/g must start together, and only 2 have places or can get some: nodepool default: its limit of 2 nodes is reached",
				"g2": "unlaunchable: 3 pods", "g3": "unlaunchable: 3 pods",
			},
		},
		{
			"room for one of two groups", 3, append(of("g", "2", large("g1 g2")...), of("h", "2", large("h1 h2")...)...),
			map[types.UID]string{
				"g1": planned, "g2": planned,
				"h1": "unlaunchable: 2 pods of group default/h", "h2": "unlaunchable: 2 pods of group default/h",
			},
		},
		{
			"more than the minimum", 2, of("g", "2", large("g1 g2 g3")...),
			map[types.UID]string{"g1": planned, "g2": planned, "g3": "unlaunchable: nodepool default: its limit of 2 nodes is reached"},
		},
		{
			"the cheapest zone", 0, inOneZone(of("g", "2", large("g1 g2")...)...),
			map[types.UID]string{"g1": planned, "g2": planned},
		},
		{
			"the zone of one is the zone of all", 0, inOneZone(of("g", "2", pod("g1", "1500m"), inZone("a", pod("g2", "1500m")))...),
			map[types.UID]string{"g1": "planned in a", "g2": "planned in a"},
		},
		{
			"without asking for one zone", 0, of("g", "2", pod("g1", "1500m"), inZone("a", pod("g2", "1500m"))),
			map[types.UID]string{"g1": planned, "g2": "planned in a"},
		},
		{
			"no zone for all", 0, inOneZone(of("g", "2", inZone("a", pod("g1", "1500m")), inZone("b", pod("g2", "1500m")))...),
			map[types.UID]string{"g1": "unlaunchable: no zone holds enough pods of group default/g: in a 2 pods", "g2": "unlaunchable: no zone"},
		},
		{
			"no number", 0, of("g", "many", large("g1")...),
			map[types.UID]string{"g1": `unlaunchable: cannot be planned for with its group: slipway.dev/pod-group-min is "many"`},
		},
		{
			"pods that do not agree", 0, append(of("g", "1", large("g1")...), of("g", "2", large("g2")...)...),
			map[types.UID]string{"g1": "unlaunchable: cannot be planned for with its group: pods of group default/g do not agree", "g2": "unlaunchable"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
			if tt.nodes > 0 {
				pool.Spec.Limits = corev1.ResourceList{"nodes": *resource.NewQuantity(tt.nodes, resource.DecimalSI)}
			}
			objects := []client.Object{pool}
			for _, p := range tt.pods {
				objects = append(objects, p)
			}
			a, _ := newAllocatorOf(ctx, t, twoZones{oneType{make(chan struct{})}}, objects...)
			done := make(chan error, 1)
			go func() { done <- a.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			_, changes, err := a.Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Reserve(ctx, tt.pods); err != nil {
				t.Fatal(err)
			}
			got := map[types.UID]string{}
			for deadline := time.After(10 * time.Second); !stands(got, tt.want); {
				select {
				case batch := <-changes:
					for _, r := range batch {
						got[r.UID] = state(r)
					}
				case <-deadline:
					t.Fatalf("(-want +got):\n%s", cmp.Diff(tt.want, got))
				}
			}
		})
	}
}

func state(r allocate.Reservation) string {
	switch {
	case r.Phase == allocate.Planned:
		return "planned in " + r.Zone
	case r.Reason != "":
		return r.Phase.String() + ": " + r.Reason
	default:
		return r.Phase.String()
	}
}

func stands(got, want map[types.UID]string) bool {
	for uid, prefix := range want {
		if !strings.HasPrefix(got[uid], prefix) {
			return false
		}
	}
	return len(got) == len(want)
}
