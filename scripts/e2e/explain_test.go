package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// slipway runs the users' command against the cluster.
func (w *world) slipway(args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.ctx, filepath.Join(bin, "slipway"), append(args, "--kubeconfig", w.Kubeconfig)...)
	cmd.Env = append(os.Environ(), "COLUMNS=120")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// explained waits until `slipway explain` of an object says what is wanted, and returns that.
func (w *world) explained(kind, name, state string, words ...string) explain.Explanation {
	w.t.Helper()
	var e explain.Explanation
	w.eventually(fmt.Sprintf("%s %s is explained as %s", kind, name, state), func() error {
		code, out, errs := w.slipway("explain", kind, name, "-o", "json")
		if code != 0 {
			return fmt.Errorf("exit code %d: %s", code, errs)
		}
		e = explain.Explanation{}
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(out, word) {
				return fmt.Errorf("%q is not said in\n%s", word, out)
			}
		}
		if e.State != state {
			return fmt.Errorf("it is %s: %s", e.State, e.Summary)
		}
		return nil
	})
	code, text, errs := w.slipway("explain", kind, name)
	if code != 0 || !strings.HasPrefix(text, kind+" "+name+" ") {
		w.t.Errorf("explain %s %s: exit code %d, %s\n%s", kind, name, code, errs, text)
	}
	w.t.Logf("slipway explain %s %s\n%s", kind, name, text)
	return e
}

// TestExplain: `slipway explain` and `slipway nodes` tell from live objects what is so.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 6 * time.Second })
	kept, outdated := pool("kept", never, "m5.large"), pool("outdated", never, "c5.large")
	outdated.Spec.Template.Metadata.Labels = map[string]string{"team": "a"}
	outdated.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "0"}}
	w.poolReady(kept)
	w.poolReady(outdated)

	w.create(pod("huge", "500"))
	e := w.explained("pod", "default/huge", explain.StateNoPlace, "no node can be launched for this pod", "the largest allowed type")
	if e.Plan == nil || len(e.Plan.Unplaced) != 1 || len(e.Plan.Unplaced[0].Reasons) != 2 {
		t.Errorf("a plan for it says %+v, want a reason for each NodePool", e.Plan)
	}

	db, web := pod("db", "900m"), pod("web", "900m")
	db.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
	db.Spec.NodeSelector = map[string]string{v1alpha1.LabelNodePool: "kept"}
	web.Spec.NodeSelector = map[string]string{v1alpha1.LabelNodePool: "outdated"}
	w.create(db, web, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
		},
	})
	if e := w.explained("pod", "default/db", explain.StateReserved, "is bought, and booting for"); e.Node == nil || e.Node.InstanceType != "m5.large" || e.Node.PricePerHour <= 0 {
		t.Errorf("it waits for node %+v", e.Node)
	}
	e = w.explained("pod", "default/db", explain.StateBound, "runs on node")
	e = w.explained("node", e.Node.Name, nodes.StateProtected, "PodDisruptionBudget default/db allows no disruption now", "pod default/db is annotated "+v1alpha1.DoNotDisruptAnnotation)
	held := e.Node.NodeClaim

	w.bound("web", 1)
	if err := w.Client.Get(w.ctx, client.ObjectKeyFromObject(outdated), outdated); err != nil {
		t.Fatal(err)
	}
	outdated.Spec.Template.Metadata.Labels["team"] = "b"
	if err := w.Client.Update(w.ctx, outdated); err != nil {
		t.Fatal(err)
	}
	w.explained("node", w.pods("web")[0].Spec.NodeName, v1alpha1.ConditionDrifted,
		"spec.template.metadata.labels[team] of NodePool outdated was changed", "allows 0 of its 1 nodes to be disrupted", "NodePool outdated has a budget of 0 nodes")

	w.showsNodes(map[string]string{"kept": nodes.StateProtected, "outdated": v1alpha1.ConditionDrifted})
	w.delete(&v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: held}})
	w.explained("nodeclaim", held, nodes.StateDraining, "waiting for default/db: it is annotated", "was deleted by hand")

	for _, wrong := range []string{"explain pod default/nosuch", "explain node nosuch", "explain nodeclaim nosuch"} {
		if code, out, errs := w.slipway(strings.Fields(wrong)...); code != 2 || out != "" || !strings.Contains(errs, "nosuch") {
			t.Errorf("%s: exit code %d, %q, %q", wrong, code, out, errs)
		}
	}
}

// showsNodes checks what `slipway nodes` shows: one node a pool, in its state, and their price.
func (w *world) showsNodes(states map[string]string) {
	w.t.Helper()
	code, out, errs := w.slipway("nodes", "-o", "json")
	var view nodes.View
	if code != 0 || json.Unmarshal([]byte(out), &view) != nil {
		w.t.Fatalf("exit code %d: %s\n%s", code, errs, out)
	}
	price := 0.0
	for _, n := range view.Nodes {
		if n.State != states[n.NodePool] || n.CPU.Share() <= 0 || n.Pods.Requested < 1 {
			w.t.Errorf("node is %+v, want it %s", n, states[n.NodePool])
		}
		price += n.PricePerHour
	}
	if t := view.Totals; len(view.Nodes) != len(states) || t.Nodes != len(states) || t.WaitingPods != 1 || t.PricePerHour <= 0 || t.PricePerHour-price > 1e-6 {
		w.t.Errorf("%d nodes, totals are %+v, want %d nodes for $%f per hour and a pod that waits", len(view.Nodes), t, len(states), price)
	}
	code, text, errs := w.slipway("nodes", "--sort", "price")
	if code != 0 || strings.Contains(text, "\x1b") || strings.Count(text, "\n") != 3+1+len(states) {
		w.t.Errorf("exit code %d: %s\n%s", code, errs, text)
	}
	w.t.Logf("slipway nodes\n%s", text)
}
