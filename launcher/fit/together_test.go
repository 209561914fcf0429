package fit_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// TestSharedHosts: pods that must share a host get one that holds them all.
func TestSharedHosts(t *testing.T) {
	engine := newEngine(t)
	sizes := []fit.Template{template("p", 1, 2, "a"), template("p", 2, 4, "a")}
	for _, tt := range []struct {
		name string
		pods []*corev1.Pod
		want string
	}{
		{"among themselves", pods(2, "web", "500m", "256Mi", nextTo("web", corev1.LabelHostname)), "c2m4/a: 2×web\n"},
		{
			"with others that do not mind",
			append(pods(1, "client", "500m", "256Mi", nextTo("server", corev1.LabelHostname)), pods(1, "server", "500m", "256Mi")...),
			"c2m4/a: 1×server 1×client\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(t, engine, fit.Input{Pods: tt.pods, Templates: sizes}); got != tt.want {
				t.Errorf("plan:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// poolLimits lets every pool buy one node.
type poolLimits struct {
	pools []string // by template
	taken map[string]int
}

func (l *poolLimits) Take(t int) error {
	if l.taken[l.pools[t]] == 1 {
		return fmt.Errorf("its limit of 1 nodes of %s is reached", l.pools[t])
	}
	l.taken[l.pools[t]]++
	return nil
}

func (l *poolLimits) Give(t int) { l.taken[l.pools[t]]-- }

// TestReasonsByPool: each pool says what it lacks itself.
func TestReasonsByPool(t *testing.T) {
	engine := newEngine(t)
	in := fit.Input{Pods: pods(4, "web", "1500m", "1Gi"), Alternatives: 4, Templates: []fit.Template{template("one", 2, 4, "a"), template("two", 2, 4, "a")}}
	in.Budget = &poolLimits{[]string{"one", "two"}, map[string]int{}}
	plan, err := engine.Plan(t.Context(), in)
	if err != nil || len(plan.Unplaced) != 2 {
		t.Fatalf("%d pods unplaced, error %v", len(plan.Unplaced), err)
	}
	want := "nodepool one: its limit of 1 nodes of one is reached; nodepool two: its limit of 1 nodes of two is reached"
	if got := strings.Join(plan.Unplaced[0].Reasons, "; "); got != want {
		t.Errorf("reasons: %s\nwant: %s", got, want)
	}
}

// TestFeaturesAreNotMixed: what a node must be able to do keeps pods apart that are alike
// in all else.
func TestFeaturesAreNotMixed(t *testing.T) {
	engine := newEngine(t)
	onHost := func(p *corev1.Pod) { p.Spec.HostNetwork = true }
	plain := pods(1, "web", "500m", "256Mi", onHost)
	userns := pods(1, "web2", "500m", "256Mi", onHost, func(p *corev1.Pod) {
		p.Spec.HostUsers, p.Labels = new(bool), map[string]string{"app": "web"}
	})
	for _, order := range [][]*corev1.Pod{append(plain, userns...), append(userns, plain...)} {
		plan, err := engine.Plan(t.Context(), fit.Input{Pods: order, Templates: templates(), Alternatives: 4})
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Unplaced) != 1 || plan.Unplaced[0].Pod.Name != userns[0].Name {
			t.Errorf("%s first: %d pods unplaced", order[0].Name, len(plan.Unplaced))
		}
	}
}

// TestForetoldFeatures: what the nodes of a pool declare, the next one will.
func TestForetoldFeatures(t *testing.T) {
	engine := newEngine(t)
	restarting := func(p *corev1.Pod) {
		p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers}}
	}
	in := fit.Input{Pods: pods(1, "web", "500m", "256Mi", restarting), Templates: templates()}
	const unknown = "no place: web: nodepool default: node(s) didn't match Pod's required features: " +
		"a node to be bought is taken to have those that all of its pool's nodes have (15 of 15 offerings that are large enough)\n"
	if got := run(t, engine, in); got != unknown {
		t.Errorf("plan: %s, want %s", got, unknown)
	}
	in.Features = map[string][]string{"default": {"RestartAllContainersOnContainerExits"}}
	if got, want := run(t, engine, in), "c2m4/a: 1×web\n"; got != want {
		t.Errorf("plan: %s, want %s", got, want)
	}
}

// TestGates: a pod that its scheduling gates hold back is bought nothing.
func TestGates(t *testing.T) {
	gated := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}} }
	in := fit.Input{Pods: append(pods(1, "web", "500m", "256Mi", gated), pods(1, "api", "500m", "256Mi")...), Templates: templates()}
	want := "c2m4/a: 1×api\nno place: web: it waits for its scheduling gate example.com/quota\n"
	if got := run(t, newEngine(t), in); got != want {
		t.Errorf("plan: %s, want %s", got, want)
	}
}

// TestDaemonSetLimits: the API server takes limits for requests that are left out, and a
// DaemonSet's template has not been there yet.
func TestDaemonSetLimits(t *testing.T) {
	ds := daemonSet("1")
	c := &ds.Spec.Template.Spec.Containers[0]
	c.Resources.Limits, c.Resources.Requests = c.Resources.Requests, nil
	in := fit.Input{Pods: pods(1, "web", "1500m", "1Gi"), Templates: templates(), DaemonSets: []*appsv1.DaemonSet{ds}}
	if got, want := run(t, newEngine(t), in), "c4m16/a: 1×web\n"; got != want {
		t.Errorf("plan: %s, want %s", got, want)
	}
}
