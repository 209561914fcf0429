package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// patience bounds every wait; what is waited for takes seconds on a busy machine.
const patience = 90 * time.Second

// world is a running Slipway with helpers that fail the test.
type world struct {
	*stack.Stack
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's
}

// start runs a Slipway for one test; change may be nil.
func start(t *testing.T, change func(*stack.Config)) *world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set: no control plane to test against; `make test` sets it")
	}
	cfg := stack.Config{Dir: t.TempDir(), Repo: repo, Bin: bin, Sim: simec2.Config{BootDelay: 300 * time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	s, err := stack.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err, logs(cfg.Dir+"/logs"))
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		for _, daemon := range []string{"slipway-launcher", "slipway-scheduler", "slipway-launcher-standby", "slipway-scheduler-standby"} {
			if log, err := os.ReadFile(s.Logs() + "/" + daemon + ".log"); err != nil {
				if !strings.HasSuffix(daemon, "standby") {
					t.Error(err)
				}
			} else if _, race, found := strings.Cut(string(log), "WARNING: DATA RACE"); found {
				t.Errorf("%s has a data race:%s", daemon, race[:min(len(race), 4000)])
			}
		}
		if t.Failed() {
			t.Log(logs(s.Logs()))
		}
	})
	return &world{Stack: s, t: t, ctx: t.Context()}
}

// logs returns the ends of the daemons' logs.
func logs(dir string) string {
	var out strings.Builder
	for _, name := range []string{"slipway-launcher.log", "slipway-launcher-standby.log", "slipway-scheduler.log", "slipway-scheduler-standby.log", "slipway-sim.log"} {
		raw, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		fmt.Fprintf(&out, "\n--- %s, last of %d lines\n%s\n", name, len(lines), strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
	return out.String()
}

// eventually waits until a condition holds; its error says what is still wrong.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	w.within(patience, what, check)
}

// within waits for so long until a condition holds.
func (w *world) within(patience time.Duration, what string, check func() error) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("%s: %v", what, w.ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// always checks for a while that a condition keeps holding.
func (w *world) always(d time.Duration, what string, check func() error) {
	w.t.Helper()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := check(); err != nil {
			w.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (w *world) create(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := w.Client.Create(w.ctx, o); err != nil {
			w.t.Fatalf("create %T %s: %v", o, o.GetName(), err)
		}
	}
}

func (w *world) delete(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := w.Client.Delete(w.ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			w.t.Fatalf("delete %T %s: %v", o, o.GetName(), err)
		}
	}
}

// poolReady creates a NodePool and waits until it may be launched from.
func (w *world) poolReady(p *v1alpha1.NodePool) {
	w.t.Helper()
	w.create(p)
	w.eventually("NodePool "+p.Name+" is ready", func() error {
		var pool v1alpha1.NodePool
		if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(p), &pool); err != nil {
			return err
		}
		for _, c := range pool.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("conditions: %v", pool.Status.Conditions)
	})
}

func (w *world) pods(app string) []corev1.Pod {
	w.t.Helper()
	var pods corev1.PodList
	if err := w.Client.List(w.ctx, &pods, client.InNamespace("default"), client.MatchingLabels{"app": app}); err != nil {
		w.t.Fatal(err)
	}
	return pods.Items
}

func (w *world) claims() []v1alpha1.NodeClaim {
	w.t.Helper()
	var claims v1alpha1.NodeClaimList
	if err := w.Client.List(w.ctx, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims.Items
}

func (w *world) nodes() []corev1.Node {
	w.t.Helper()
	var nodes corev1.NodeList
	if err := w.Client.List(w.ctx, &nodes); err != nil {
		w.t.Fatal(err)
	}
	return nodes.Items
}

// running lists the instances that cost money.
func (w *world) running() []simec2.Instance {
	return slices.DeleteFunc(w.Sim.Instances(), func(in simec2.Instance) bool {
		return in.State == simec2.StateTerminated || in.State == simec2.StateShuttingDown
	})
}

// bound waits until all pods of an app are bound, and returns them.
func (w *world) bound(app string, n int) []corev1.Pod {
	w.t.Helper()
	var pods []corev1.Pod
	w.eventually(fmt.Sprintf("%d pods of %s bound", n, app), func() error {
		pods = w.pods(app)
		bound := 0
		var waiting error
		for _, p := range pods {
			if p.Spec.NodeName != "" {
				bound++
			} else if len(p.Status.Conditions) > 0 {
				waiting = errors.New(p.Status.Conditions[0].Message)
			}
		}
		if bound != n || len(pods) != n {
			return fmt.Errorf("%d of %d bound: %w", bound, len(pods), waiting)
		}
		return nil
	})
	return pods
}

// onReserved checks that each pod runs on the node that a claim reserves for it. Pods that
// were planned for before they were created are written on the claim later.
func (w *world) onReserved(pods []corev1.Pod) {
	w.t.Helper()
	w.eventually("pods run on the nodes that are reserved for them", func() error {
		claims := w.claims()
		for _, p := range pods {
			held := slices.ContainsFunc(claims, func(c v1alpha1.NodeClaim) bool {
				return c.Status.NodeName == p.Spec.NodeName &&
					slices.ContainsFunc(c.HeldPods(), func(r v1alpha1.ReservedPod) bool { return r.UID == p.UID })
			})
			if !held {
				return fmt.Errorf("pod %s is bound to %s, which was not reserved for it", p.Name, p.Spec.NodeName)
			}
		}
		return nil
	})
}

// clean waits until no node, claim or instance is left.
func (w *world) clean() {
	w.t.Helper()
	w.eventually("nothing is left", func() error {
		if c, n, i := len(w.claims()), len(w.nodes()), len(w.running()); c+n+i > 0 {
			return fmt.Errorf("%d claims, %d nodes, %d instances", c, n, i)
		}
		return nil
	})
}

// event waits for an event with a reason, whose note contains text, on an object.
func (w *world) event(kind, name, reason, text string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("event %s on %s %s", reason, kind, name), func() error {
		var events eventsv1.EventList
		if err := w.Client.List(w.ctx, &events); err != nil {
			return err
		}
		var others []string
		for _, e := range events.Items {
			if e.Regarding.Kind != kind || (name != "" && e.Regarding.Name != name) {
				continue
			}
			if e.Reason == reason && strings.Contains(e.Note, text) {
				return nil
			}
			others = append(others, e.Reason+": "+e.Note)
		}
		return fmt.Errorf("only: %s", strings.Join(others, "\n"))
	})
}

// launches counts the instances that were ever bought.
func (w *world) launches() int {
	bought := sets.New[string]()
	for _, c := range w.Sim.Calls() {
		if c.Action == "CreateFleet" {
			bought.Insert(c.InstanceIDs...)
		}
	}
	return bought.Len()
}

// pool is a NodePool of some types (all when none is named) whose empty nodes go after ttl.
func pool(name string, ttl time.Duration, types ...string) *v1alpha1.NodePool {
	p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if len(types) > 0 {
		p.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{{Key: corev1.LabelInstanceTypeStable, Operator: v1alpha1.OpIn, Values: types}}
	}
	p.Spec.Disruption = v1alpha1.Disruption{
		ConsolidationPolicy: v1alpha1.ConsolidateWhenEmpty, ConsolidateAfter: ttl.String(),
		Budgets: []v1alpha1.Budget{{Nodes: "100%"}},
	}
	return p
}

// never is a TTL that no test outlives.
const never = time.Hour

func deployment(name string, replicas int32, cpu string, change ...func(*corev1.PodSpec)) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	spec := podSpec(cpu)
	for _, c := range change {
		c(&spec)
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(replicas), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

func pod(name, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec:       podSpec(cpu),
	}
}

func podSpec(cpu string) corev1.PodSpec {
	return corev1.PodSpec{
		SchedulerName: stack.SchedulerName, TerminationGracePeriodSeconds: new(int64(0)),
		Containers: []corev1.Container{{
			Name: "pause", Image: "public.ecr.aws/eks-distro/kubernetes/pause:3.2",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("128Mi"),
			}},
		}},
	}
}
