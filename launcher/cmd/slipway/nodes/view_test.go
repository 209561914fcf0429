package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

func before(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func node(name string, age time.Duration, change ...func(*corev1.Node)) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: before(age), Labels: map[string]string{
		v1alpha1.LabelNodePool: "general", corev1.LabelInstanceTypeStable: "c6a.large", corev1.LabelTopologyZone: "us-east-1a", v1alpha1.LabelCapacityType: "on-demand",
	}}}
	n.Spec.ProviderID = "aws:///us-east-1a/" + name
	n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("1930m"), "memory": resource.MustParse("3Gi"), "pods": resource.MustParse("29")}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, c := range change {
		c(&n)
	}
	return n
}

// claim is of the node of that name, with the conditions that are True, and with their reasons.
func claim(node, capacityType, price string, conditions ...string) v1alpha1.NodeClaim {
	c := v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "general-" + node, CreationTimestamp: before(time.Minute)}}
	c.Spec.NodePool = "general"
	c.Spec.Requests = corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("2Gi")}
	for _, condition := range conditions {
		kind, reason, _ := strings.Cut(condition, ":")
		c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: "says why"})
	}
	if len(conditions) > 0 {
		c.Status.ProviderID, c.Status.NodeName = "aws:///us-east-1a/"+node, node
		c.Status.InstanceType, c.Status.Zone, c.Status.CapacityType = "c6a.large", "us-east-1a", capacityType
		c.Status.Price = new(resource.MustParse(price))
		c.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("1930m"), "memory": resource.MustParse("3Gi"), "pods": resource.MustParse("29")}
	}
	return c
}

func pod(name, node, cpu string, change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse("1Gi")}}}}
	for _, c := range change {
		c(&p)
	}
	return p
}

var up = []string{"Launched", "Registered", "Initialized"}

func and(conditions ...string) []string { return append(append([]string{}, up...), conditions...) }

// lists are a cluster with a node in each state.
type lists struct {
	nodes  []corev1.Node
	claims []v1alpha1.NodeClaim
	pods   []corev1.Pod
}

func everything() lists {
	var l lists
	add := func(n corev1.Node, c v1alpha1.NodeClaim) {
		n.Labels[v1alpha1.LabelCapacityType] = c.Status.CapacityType
		l.nodes, l.claims = append(l.nodes, n), append(l.claims, c)
	}
	add(node("i-full", 50*time.Hour), claim("i-full", "on-demand", "0.0765", up...))
	add(node("i-kept", 3*time.Hour), claim("i-kept", "spot", "0.0312", up...))
	add(node("i-drifted", 72*time.Hour), claim("i-drifted", "on-demand", "0.0765", and("Drifted:BlockedByBudget", "Empty:NoPods")...))
	add(node("i-removed", 90*time.Hour), claim("i-removed", "on-demand", "0.0765", and("Expired:Expired", "Drifted:Disrupting")...))
	add(node("i-taken", time.Hour), claim("i-taken", "spot", "0.0312", and("Drifted:Disrupting", "Interrupted:SpotInterruption")...))
	reserved := claim("i-reserved", "reserved", "0.0765", up...)
	reserved.Spec.Pods = []v1alpha1.ReservedPod{{UID: "waits-1"}, {UID: "there"}}
	add(node("i-reserved", 2*time.Minute), reserved)
	draining := claim("i-draining", "on-demand", "0.0765", and("Draining:Draining")...)
	draining.DeletionTimestamp = new(before(time.Minute))
	add(node("i-draining", time.Hour), draining)
	ending := claim("i-ending", "on-demand", "0.0765", and("InstanceTerminated:Terminating")...)
	ending.DeletionTimestamp = new(before(time.Minute))
	add(node("i-ending", time.Hour), ending)
	add(node("i-joining", 5*time.Second), claim("i-joining", "on-demand", "0.0765", "Launched", "Registered"))
	add(node("i-cordoned", time.Hour, func(n *corev1.Node) { n.Spec.Unschedulable = true }), claim("i-cordoned", "on-demand", "0.0765", up...))
	add(node("i-mute", time.Hour, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }), claim("i-mute", "on-demand", "0.0765", up...))
	l.nodes = append(l.nodes, node("ip-10-0-3-17.ec2.internal", 900*time.Hour, func(n *corev1.Node) { n.Labels = nil }))
	booting := claim("i-booting", "spot", "0.0312", "Launched")
	booting.Spec.Pods, booting.Spec.ExpectedPods = []v1alpha1.ReservedPod{{UID: "waits-2"}}, 2
	l.claims = append(l.claims, booting, claim("planned", "", ""))
	l.pods = []corev1.Pod{
		pod("a", "i-full", "900m"), pod("b", "i-full", "1"), pod("c", "i-kept", "500m", func(p *corev1.Pod) {
			p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
		}), pod("there", "i-reserved", "100m"), pod("waits-1", "", "1"), pod("waits-2", "", "1"), pod("waits-3", "", "1"),
		pod("ended", "i-kept", "1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
	}
	return l
}

func view(t *testing.T, order string) *nodes.View {
	t.Helper()
	l := everything()
	v := nodes.New(l.nodes, l.claims, l.pods, now)
	if err := v.Order(order); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestText(t *testing.T) {
	for _, width := range []int{140, 110, 80, 50} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			var out strings.Builder
			if err := view(t, "age").Text(&out, now, width); err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("%d.txt", width), out.String())
		})
	}
	l := everything()
	v := nodes.New(append(l.nodes[:3:3], l.nodes[len(l.nodes)-1]), append(l.claims[:3:3], l.claims[len(l.claims)-2:]...), l.pods, now)
	var out strings.Builder
	if err := errors.Join(v.Order("price"), v.Text(&out, now, 110)); err != nil {
		t.Fatal(err)
	}
	golden(t, "readme.txt", out.String())
	out.Reset()
	if err := nodes.New(nil, nil, nil, now).Text(&out, now, 100); err != nil {
		t.Fatal(err)
	}
	golden(t, "none.txt", out.String())
}

func TestJSON(t *testing.T) {
	var out strings.Builder
	v := view(t, "-price")
	v.Nodes = append(v.Nodes[:1], v.Nodes[len(v.Nodes)-2:]...)
	if err := v.JSON(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "view.json", out.String())
}

// TestFrame: whatever the screen, the frame fits on it, and all nodes can be scrolled to.
func TestFrame(t *testing.T) {
	for _, size := range []struct{ width, height, skip int }{{120, 12, 0}, {120, 12, 4}, {80, 40, 3}, {60, 5, 0}} {
		t.Run(fmt.Sprintf("%dx%d+%d", size.width, size.height, size.skip), func(t *testing.T) {
			lines, _ := view(t, "age").Frame(now, size.width, size.height, size.skip, "q quit")
			golden(t, fmt.Sprintf("frame-%dx%d+%d.txt", size.width, size.height, size.skip), strings.Join(lines, "\n")+"\n")
		})
	}
	v := view(t, "name")
	for _, width := range []int{0, 1, 2, 20, 41, 79, 133} {
		for height := 1; height < 30; height++ {
			seen := map[string]bool{}
			for skip := range len(v.Nodes) {
				lines, skipped := v.Frame(now, width, height, skip, "q quit")
				if len(lines) > height || skipped > skip {
					t.Fatalf("%d×%d: %d lines, %d skipped instead of %d", width, height, len(lines), skipped, skip)
				}
				for _, line := range lines {
					if n := utf8.RuneCountInString(line); n > width {
						t.Fatalf("%d×%d: a line of %d: %s", width, height, n, line)
					}
					seen[strings.Fields(line + " -")[0]] = true
				}
			}
			for _, n := range v.Nodes {
				if width > 70 && height > 6 && n.Name != "" && !seen[n.Name] {
					t.Fatalf("%d×%d: %s is never shown", width, height, n.Name)
				}
			}
		}
	}
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct{ by, first, second string }{
		{"age", "ip-10-0-3-17.ec2.internal", "i-removed"}, {"-age", "i-joining", "i-reserved"}, {"cpu", "i-full", "i-kept"},
		{"memory", "i-full", "i-kept"}, {"pods", "i-full", "i-kept"}, {"price", "i-cordoned", "i-draining"}, {"name", "i-cordoned", "i-draining"},
		{"pool", "ip-10-0-3-17.ec2.internal", "i-cordoned"}, {"state", "i-cordoned", "i-draining"}, {"-name", "ip-10-0-3-17.ec2.internal", "i-taken"},
	} {
		v := view(t, tt.by)
		if v.Nodes[0].Name != tt.first || v.Nodes[1].Name != tt.second || !v.Nodes[len(v.Nodes)-1].Absent {
			t.Errorf("by %s: %s, %s, …, %s", tt.by, v.Nodes[0].Name, v.Nodes[1].Name, v.Nodes[len(v.Nodes)-1].NodeClaim)
		}
	}
	for _, by := range nodes.Orders() {
		if err := view(t, "age").Order(by); err != nil {
			t.Error(err)
		}
	}
	if err := view(t, "age").Order("colour"); err == nil || !strings.Contains(err.Error(), `"colour"`) {
		t.Errorf("ordered by colour: %v", err)
	}
}

func TestOnly(t *testing.T) {
	v := view(t, "age")
	all := v.Totals
	v.Only(nil)
	if diff := cmp.Diff(all, v.Totals); diff != "" {
		t.Errorf("without a pool (-want +got):\n%s", diff)
	}
	v.Only([]string{"general"})
	if v.Totals.Nodes != all.Nodes-1 || v.Totals.PricePerHour != all.PricePerHour {
		t.Errorf("of the pool there are %+v", v.Totals)
	}
	v.Only([]string{"other"})
	if v.Totals.Nodes != 0 || v.Totals.PricePerHour != 0 {
		t.Errorf("of a pool without nodes there are %+v", v.Totals)
	}
}

// reader has lists to give, but no NodeClaims where Slipway is not installed.
type reader struct {
	client.Reader
	lists
	installed bool
}

func (r reader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *corev1.NodeList:
		list.Items = r.nodes
	case *corev1.PodList:
		for i := range r.pods {
			list.Items = append(list.Items, *nodes.Slim(&r.pods[i]))
		}
	case *v1alpha1.NodeClaimList:
		if !r.installed {
			return fmt.Errorf("discover: %w", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: v1alpha1.Group, Kind: "NodeClaim"}})
		}
		list.Items = r.claims
	}
	return nil
}

// TestLook: what is left of a pod suffices, and Slipway need not be installed.
func TestLook(t *testing.T) {
	v, err := nodes.Look(t.Context(), reader{lists: everything(), installed: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := view(t, "age")
	if err := v.Order("age"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("of what was read (-want +got):\n%s", diff)
	}
	v, err = nodes.Look(t.Context(), reader{lists: everything()}, now)
	if err != nil || v.Totals.Nodes != want.Totals.Nodes || v.Totals.OnTheWay != 0 {
		t.Errorf("without NodeClaims: %+v, %v", v, err)
	}
}

// golden compares a text with a file of testdata; with UPDATE set it writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
