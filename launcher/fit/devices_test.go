package fit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/fit"
)

const (
	cards   = "cards.example.com"
	carding = "example.com/card" // the cards as an extended resource
)

// lab is a cluster with devices.
type lab struct {
	scenario
	objects []runtime.Object
	// beyond what the scheduler knows at the time, and would do without.
	beyond bool
}

func newLab() *lab {
	l := &lab{scenario: scenario{Templates: templates()}}
	l.objects = []runtime.Object{&resourceapi.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: "card"}, Spec: resourceapi.DeviceClassSpec{ExtendedResourceName: new(carding)},
	}}
	return l
}

// node adds a node that pods may use, with cards.
func (l *lab) node(name string, count int) *lab {
	l.addNode(name, map[string]string{"zone": "a", "open": ""})
	return l.slice(name, count, func(s *resourceapi.ResourceSliceSpec) { s.NodeName = &name })
}

// network adds cards that every node can reach.
func (l *lab) network(count int) *lab {
	return l.slice("network", count, func(s *resourceapi.ResourceSliceSpec) { s.AllNodes = new(true) })
}

func (l *lab) slice(name string, count int, reach func(*resourceapi.ResourceSliceSpec)) *lab {
	s := &resourceapi.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}, Spec: resourceapi.ResourceSliceSpec{
		Driver: cards, Pool: resourceapi.ResourcePool{Name: name, Generation: 1, ResourceSliceCount: 1},
	}}
	reach(&s.Spec)
	for i := range count {
		s.Spec.Devices = append(s.Spec.Devices, resourceapi.Device{Name: fmt.Sprintf("card-%d", i)})
	}
	l.objects = append(l.objects, s)
	return l
}

// claim adds a claim for a card.
func (l *lab) claim(name string, change ...func(*resourceapi.ResourceClaim)) *lab {
	c := &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), ResourceVersion: "1"},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{{
			Name: "card", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: "card", AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1},
		}}}},
	}
	for _, f := range change {
		f(c)
	}
	l.objects = append(l.objects, c)
	return l
}

// pods adds pods that train, each with a claim of its own from one template.
func (l *lab) pods(n int, change ...func(*corev1.Pod)) *lab {
	for _, p := range pods(n, "train", "500m", "512Mi", change...) {
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "card", ResourceClaimTemplateName: new("card")}}
		p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "card", ResourceClaimName: &p.Name}}
		l.claim(p.Name, func(c *resourceapi.ResourceClaim) {
			c.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(p, corev1.SchemeGroupVersion.WithKind("Pod"))}
		})
		l.Pods = append(l.Pods, p)
	}
	return l
}

// sharing adds pods that share the claim of the name "one".
func (l *lab) sharing(n int) *lab {
	for _, p := range pods(n, "train", "500m", "512Mi") {
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "card", ResourceClaimName: new("one")}}
		l.Pods = append(l.Pods, p)
	}
	return l
}

// inUse allocates the first card of a node to a claim that pods use.
func inUse(node string, pods int) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		c.Status.Allocation = &resourceapi.AllocationResult{
			Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{{Request: "card", Driver: cards, Pool: node, Device: "card-0"}}},
			NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}},
		}
		for i := range pods {
			c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: fmt.Sprint("user-", i), UID: types.UID(fmt.Sprint("user-", i))})
		}
	}
}

// promised leaves the last pod to a node that it has yet to be bound to.
func (l *lab) promised(node string) *lab {
	last := len(l.Pods) - 1
	l.Promised = map[string]*corev1.Pod{node: l.Pods[last]}
	l.Pods, l.beyond = l.Pods[:last], true
	return l
}

// unnoticed by the scheduler is what only the API server refuses.
func (l *lab) unnoticed() *lab {
	l.beyond = true
	return l
}

// TestDevices: a device is given to one claim, a claim to no more pods than may share it, and
// pods that get none are told why. The scheduler has to agree.
func TestDevices(t *testing.T) {
	const none = "default: cannot allocate all claims: a node has devices to claim only once its driver has published them, so none is bought for a claim (15 of 15 offerings that are large enough)"
	extended := func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[carding] = resource.MustParse("1") }
	for _, tt := range []struct {
		name string
		lab  *lab
		want string
	}{
		{"a card each", newLab().node("n1", 2).pods(2), "n1: 2×train\n"},
		{"fewer cards than pods", newLab().node("n1", 1).pods(2), "n1: 1×train\nno place: train: nodepool " + none + "\n"},
		{"two nodes", newLab().node("n1", 1).node("n2", 2).pods(3), "n1: 1×train\nn2: 2×train\n"},
		{"no cards at all", newLab().pods(1), "no place: train: nodepool " + none + "\n"},
		{"pods that share a claim", newLab().node("n1", 1).node("n2", 1).claim("one").sharing(3), "n1: 3×train\n"},
		{"pods that share a claim that others use", newLab().node("n1", 1).node("n2", 1).claim("one", inUse("n2", 2)).sharing(2), "n2: 2×train\n"},
		{
			"more pods that share a claim than the API server takes",
			newLab().node("n1", 1).claim("one", inUse("n1", 255)).sharing(2).unnoticed(),
			"n1: 1×train\nno place: train: resourceclaim one: 256 pods share it, and no more may\n",
		},
		{"a card that is used", newLab().node("n1", 1).claim("one", inUse("n1", 1)).pods(1), "no place: train: nodepool " + none + "\n"},
		{"cards in the network", newLab().network(2).pods(2, antiAffinity(corev1.LabelHostname)), "c2m4/a: 1×train\nc2m4/a: 1×train\n"},
		{
			"fewer cards in the network than pods",
			newLab().network(1).pods(2), "c2m4/a: 1×train\nno place: train: nodepool default: cannot allocate all claims\n",
		},
		{
			"a card that is promised to another pod",
			newLab().node("n1", 1).pods(2).promised("n1"), "no place: train: nodepool " + none + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.lab.check(t, tt.want)
		})
	}
	t.Run("cards as an extended resource", func(t *testing.T) {
		l := newLab().node("n1", 1)
		l.Pods = pods(2, "train", "500m", "512Mi", extended)
		l.beyond = true // it writes a claim of a generated name first, which client-go's API server for tests does not do
		l.check(t, "n1: 1×train\nno place: train: nodepool default: needs 1 example.com/card, the largest allowed type c2m4 gives 0\n")
	})
}

// world makes a world that knows of the lab's devices.
func (l *lab) world(t *testing.T) *world {
	w := newWorld(t, 0, l.objects...)
	w.binds = true
	ctx, cancel := context.WithCancel(w.ctx)
	w.informers.Start(ctx.Done())
	t.Cleanup(func() { cancel(); w.informers.Shutdown() })
	if err := w.engine.WaitForSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.scheduler.WaitForHandlersSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// check holds the plan against what is expected of it, and against the scheduler.
func (l *lab) check(t *testing.T, want string) {
	w := l.world(t)
	if diff := cmp.Diff(want, run(t, w.engine, l.input())); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if l.beyond {
		return
	}
	plan, err := w.engine.Plan(w.ctx, l.input())
	if err != nil {
		t.Fatal(err)
	}
	v := verdict{plan: plan}
	v.follow(w, &l.scenario, func(n fit.Planned) int { return n.Templates[0] }, true)
	if bad := append(v.wrong, v.missed...); len(bad) > 0 {
		t.Errorf("the scheduler does not agree: %s", strings.Join(bad, "; "))
	}
}
