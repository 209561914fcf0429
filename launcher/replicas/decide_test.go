package replicas

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// A claim in these tests is its name and what is said of it: "a ready pods=2".
func parse(t *testing.T, line string) standing {
	t.Helper()
	words := strings.Fields(line)
	c := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: words[0]}}
	s := standing{claim: c}
	set := func(kind, reason string) {
		meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason})
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c.CreationTimestamp = metav1.NewTime(now)
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "ready":
			set(v1alpha1.ConditionInitialized, "Initialized")
		case "ending":
			c.DeletionTimestamp = new(metav1.NewTime(now))
		case "leaving":
			set(v1alpha1.ConditionDrifted, v1alpha1.ReasonDisrupting)
		case "drifted":
			set(v1alpha1.ConditionDrifted, "NodePoolChanged")
		case "impaired":
			set(v1alpha1.ConditionImpaired, "StatusCheckFailed")
		case "surplus":
			set(v1alpha1.ConditionSurplus, reasonSurplus)
		case "protected":
			s.protected = true
		case "replaces":
			c.Spec.Replaces = []string{value}
		case "pods":
			s.pods, _ = strconv.Atoi(value)
		case "age":
			age, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			c.CreationTimestamp = metav1.NewTime(now.Add(-age))
		default:
			t.Fatalf("what is %q?", w)
		}
	}
	return s
}

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name     string
		replicas int64
		claims   []string
		launch   int
		surplus  string
		replaced string
	}{
		{name: "an empty pool", replicas: 3, launch: 3},
		{name: "as many as wanted", replicas: 2, claims: []string{"a ready", "b"}},
		{name: "one is gone", replicas: 2, claims: []string{"a ready"}, launch: 1},
		{name: "one ends", replicas: 2, claims: []string{"a ready", "b ready ending"}, launch: 1},
		{name: "one is being replaced", replicas: 2, claims: []string{"a ready", "b ready leaving"}, launch: 1, replaced: "b"},
		{name: "its substitute is on its way", replicas: 2, claims: []string{"a ready", "b ready leaving", "c replaces=b"}},
		{name: "its substitute failed", replicas: 2, claims: []string{"a ready", "b ready leaving", "c replaces=b ending"}, launch: 1, replaced: "b"},
		{name: "it stays after all", replicas: 2, claims: []string{"a ready pods=1", "b ready pods=1 drifted", "c ready replaces=b"}, surplus: "b"},
		{name: "none is wanted", claims: []string{"a ready", "b ready leaving"}, surplus: "a", replaced: "b"},
		{name: "one that never came", replicas: 2, claims: []string{"a ready", "b", "c ready"}, surplus: "b"},
		{name: "emptiest", replicas: 1, claims: []string{"a ready pods=2", "b ready pods=1", "c ready pods=3"}, surplus: "b a"},
		{name: "youngest", replicas: 1, claims: []string{"a ready age=2h", "b ready age=1h"}, surplus: "b"},
		{name: "by name, if nothing tells them apart", replicas: 1, claims: []string{"b ready", "a ready"}, surplus: "a"},
		{name: "drifted rather than empty", replicas: 1, claims: []string{"a ready", "b ready drifted pods=1"}, surplus: "b"},
		{name: "impaired rather than drifted", replicas: 1, claims: []string{"a ready drifted", "b ready impaired pods=1"}, surplus: "b"},
		{name: "protected last", replicas: 1, claims: []string{"a ready protected", "b ready pods=5"}, surplus: "b"},
		{name: "chosen once, whatever comes", replicas: 1, claims: []string{"a ready surplus pods=5", "b ready"}, surplus: "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var claims []*v1alpha1.NodeClaim
			about := map[string]standing{}
			for _, line := range tt.claims {
				s := parse(t, line)
				claims = append(claims, s.claim)
				about[s.claim.Name] = s
			}
			d := decide(tt.replicas, claims, func(c *v1alpha1.NodeClaim) standing { return about[c.Name] })
			var surplus []string
			for _, c := range d.surplus {
				surplus = append(surplus, c.Name)
			}
			got := []any{d.launch, strings.Join(surplus, " "), strings.Join(d.replaced, " ")}
			if diff := cmp.Diff([]any{tt.launch, tt.surplus, tt.replaced}, got); diff != "" {
				t.Errorf("launch, surplus, replaced (-want +got):\n%s", diff)
			}
			if d.launch > 0 && len(d.surplus) > 0 {
				t.Error("launches and removes at once")
			}
		})
	}
}

func TestHasFailed(t *testing.T) {
	claim := func(deleted bool, kind string, status metav1.ConditionStatus) *v1alpha1.NodeClaim {
		c := &v1alpha1.NodeClaim{}
		if deleted {
			c.DeletionTimestamp = new(metav1.Now())
		}
		if kind != "" {
			meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: "Test"})
		}
		return c
	}
	for _, tt := range []struct {
		name  string
		claim *v1alpha1.NodeClaim
		want  bool
	}{
		{"on its way", claim(false, v1alpha1.ConditionLaunched, metav1.ConditionTrue), false},
		{"throttled", claim(false, v1alpha1.ConditionLaunched, metav1.ConditionFalse), false},
		{"rejected", claim(true, v1alpha1.ConditionLaunched, metav1.ConditionFalse), true},
		{"never registered", claim(true, v1alpha1.ConditionRegistered, metav1.ConditionFalse), true},
		{"deleted", claim(true, "", ""), false},
		{"deleted once it had come", claim(true, v1alpha1.ConditionInitialized, metav1.ConditionTrue), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := hasFailed(tt.claim); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestFormFleets(t *testing.T) {
	of := func(zones ...string) *v1alpha1.NodeClaim {
		c := &v1alpha1.NodeClaim{}
		c.Spec.Offerings = []v1alpha1.OfferingGroup{{CapacityType: "on-demand", Zones: zones, Types: []string{"m5.large"}}}
		return c
	}
	claims := []*v1alpha1.NodeClaim{of("a"), of("a", "b"), of("a", "b"), of("a", "b")}
	formFleets(claims)
	var sizes []int32
	for _, c := range claims {
		if c.Spec.Fleet == nil {
			sizes = append(sizes, 0)
			continue
		}
		sizes = append(sizes, c.Spec.Fleet.Size)
	}
	if diff := cmp.Diff([]int32{0, 3, 3, 3}, sizes); diff != "" {
		t.Errorf("sizes of fleets (-want +got):\n%s", diff)
	}
	var many []*v1alpha1.NodeClaim
	for len(many) < v1alpha1.MaxFleet+2 {
		many = append(many, of("a"))
	}
	formFleets(many)
	if a, b := many[0].Spec.Fleet, many[len(many)-1].Spec.Fleet; a.Size != v1alpha1.MaxFleet || b.Size != 2 || a.ID == b.ID {
		t.Errorf("fleets %v and %v", a, b)
	}
}
