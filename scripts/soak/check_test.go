package soak

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

func runs(app string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: app + "-1", Labels: map[string]string{"app": app}}}
	p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
	return p
}

func claim(conditions ...string) v1alpha1.NodeClaim {
	c := v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	c.Status.InstanceID, c.Status.NodeName = "i", "n"
	for _, t := range conditions {
		c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{Type: t, Status: metav1.ConditionTrue})
	}
	return c
}

func instance(id, claim, state string) simec2.Instance {
	return simec2.Instance{ID: id, State: state, Tags: map[string]string{v1alpha1.TagNodeClaim: claim, v1alpha1.TagClaimUID: claim}}
}

func ofFleet(id, fleet string) simec2.Instance {
	return simec2.Instance{ID: id, State: simec2.StateRunning, Tags: map[string]string{v1alpha1.TagFleet: fleet}}
}

// settled is a cluster with one pod, in which nothing is wrong.
func settled() scene {
	return scene{
		wanted:    map[string]int32{"app": 1},
		pods:      []corev1.Pod{runs("app")},
		claims:    []v1alpha1.NodeClaim{claim(v1alpha1.ConditionInitialized)},
		nodes:     []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n"}}},
		instances: []simec2.Instance{instance("i", "c", simec2.StateRunning), instance("old", "gone", simec2.StateTerminated)},
	}
}

// TestUnsettled: what must not be when all is quiet.
func TestUnsettled(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*scene)
		want   []string
	}{
		{name: "all is well", change: func(*scene) {}},
		{
			name: "a pod is stuck",
			change: func(s *scene) {
				s.pods[0].Spec.NodeName, s.pods[0].Status = "", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
					{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "waiting"},
				}}
			},
			want: []string{`pod app-1 is Pending on node "": waiting`, "Deployment app has 0 of 1 replicas"},
		},
		{
			name:   "a pod is missing",
			change: func(s *scene) { s.pods = nil },
			want:   []string{"Deployment app has 0 of 1 replicas"},
		},
		{
			name:   "an instance without a claim",
			change: func(s *scene) { s.instances = append(s.instances, instance("j", "lost", simec2.StatePending)) },
			want:   []string{"instance j (claim lost) has no claim"},
		},
		{
			name:   "a claim without an instance",
			change: func(s *scene) { s.instances[0].State = simec2.StateTerminated },
			want:   []string{`claim c has no instance ("i")`},
		},
		{
			name:   "a claim whose node is not ready",
			change: func(s *scene) { s.claims[0] = claim() },
			want:   []string{`claim c (instance "i") has no node that is ready`},
		},
		{
			name:   "a claim that does not go",
			change: func(s *scene) { s.claims[0].DeletionTimestamp = &metav1.Time{} },
			want:   []string{"claim c is on its way out"},
		},
		{
			name:   "a node without a claim",
			change: func(s *scene) { s.nodes = append(s.nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "m"}}) },
			want:   []string{"node m has no claim"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := settled()
			tc.change(&s)
			if diff := cmp.Diff(tc.want, s.unsettled()); diff != "" {
				t.Errorf("wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeft(t *testing.T) {
	want := []string{"pod app-1", "claim c", "node n", "instance i, running"}
	if diff := cmp.Diff(want, settled().left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if got := (scene{instances: settled().instances[1:]}).left(); len(got) > 0 {
		t.Errorf("of nothing is left %v", got)
	}
}

func TestBoughtTwice(t *testing.T) {
	if got := boughtTwice(settled().instances, nil); len(got) > 0 {
		t.Errorf("wrong: %v", got)
	}
	got := boughtTwice([]simec2.Instance{
		instance("i", "c", simec2.StateTerminated), instance("j", "c", simec2.StateRunning), instance("k", "", simec2.StateRunning),
		ofFleet("l", "two"), ofFleet("m", "two"), ofFleet("n", "one"), ofFleet("o", "one"), ofFleet("p", "none"),
	}, map[string]int{"two": 2, "one": 1})
	want := []string{
		`claim "", of 0, bought [k]`, `claim "c", of 1, bought [i j]`,
		`fleet "none", of 0, bought [p]`, `fleet "one", of 1, bought [n o]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
}

func TestSlope(t *testing.T) {
	for _, tc := range []struct {
		name    string
		samples []sample
		want    float64
	}{
		{"none", nil, 0},
		{"one", []sample{{1, 80}}, 0},
		{"flat", []sample{{1, 80}, {2, 80}, {3, 80}}, 0},
		{"growing", []sample{{1, 80}, {2, 83}, {3, 86}}, 3},
		{"up and down", []sample{{0, 80}, {1, 90}, {2, 90}, {3, 80}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := slope(tc.samples); math.Abs(got-tc.want) > 1e-9 {
				t.Errorf("%v MiB a minute, want %v", got, tc.want)
			}
		})
	}
}
