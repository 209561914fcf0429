package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var testTTL = TTL{
	Waiting: 60 * time.Second, Planned: 90 * time.Second, Launched: 20 * time.Minute,
	Ready: 2 * time.Minute, Refused: 5 * time.Minute,
}

// TestTransitions replays the stories in testdata. Every command prints its effects,
// then the ledger.
func TestTransitions(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{ledger: New(Config{TTL: testTTL, MaxReservations: 4}), now: time.Unix(0, 0).UTC()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return w.run(t, d)
		})
	})
}

type world struct {
	ledger *Ledger
	now    time.Time
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	arg := func(key string) string {
		var s string
		d.MaybeScanArgs(t, key, &s)
		return s
	}
	uid := types.UID(arg("pod"))
	var fx Effects
	var out strings.Builder
	switch d.Cmd {
	case "hand-over":
		r, send, err := w.ledger.HandOver(w.now, testPod(arg("pod"), arg("wants")))
		if err != nil {
			return err.Error() + "\n"
		}
		fmt.Fprintf(&out, "state=%v send=%v\n", r.State, send)
	case "hand-back":
		fx = w.ledger.HandBack(w.now, uid, arg("reason"))
	case "withdraw":
		fx = w.ledger.Withdraw(w.now, uid)
	case "describe":
		fx = w.ledger.Describe(w.now, testPod(arg("pod"), arg("wants")))
	case "launcher":
		fx = w.ledger.Apply(w.now, testUpdates(t, d.Input))
	case "resync":
		fx = w.ledger.Resync(w.now, testUpdates(t, d.Input))
	case "node":
		fx = w.ledger.NodeSeen(w.now, testNode(arg("name"), arg("is"), arg("claim")))
	case "node-deleted":
		fx = w.ledger.NodeDeleted(w.now, arg("name"))
	case "try":
		fx = w.ledger.Try(w.now, uid)
	case "try-failed":
		fx = w.ledger.TryFailed(w.now, uid)
	case "binding-started":
		fx = w.ledger.BindingStarted(w.now, uid, arg("node"))
	case "binding-failed":
		fx = w.ledger.BindingFailed(w.now, uid)
	case "bound":
		fx = w.ledger.Bound(w.now, uid, arg("node"))
	case "deleted":
		fx = w.ledger.Deleted(w.now, uid)
	case "after":
		by, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		w.now = w.now.Add(by)
		fx = w.ledger.Expire(w.now)
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	out.WriteString(printEffects(fx))
	out.WriteString(w.printLedger())
	return out.String()
}

func testPod(name, wants string) *Pod {
	p := &Pod{PodRef: PodRef{UID: types.UID(name), Namespace: "ns", Name: name}}
	if wants != "" {
		p.Requests.Scalar = map[v1.ResourceName]int64{v1.ResourceName(wants): 1}
	}
	return p
}

func testNode(name, is, claim string) Node {
	obj := &v1.Node{}
	obj.Name = name
	if claim != "" {
		obj.OwnerReferences = []metav1.OwnerReference{{APIVersion: "slipway.dev/v1alpha1", Kind: "NodeClaim", Name: claim}}
	}
	for word := range strings.SplitSeq(is, "+") {
		switch word {
		case "ready":
			obj.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
		case "ours":
			obj.Labels = map[string]string{labelNodePool: "p"}
		case "tainted":
			obj.Spec.Taints = []v1.Taint{{Key: "startup", Effect: v1.TaintEffectNoSchedule}}
		case "cordoned":
			obj.Spec.Unschedulable = true
		case "gpu":
			obj.Status.Allocatable = v1.ResourceList{"gpu": *newQuantity(1)}
		}
	}
	return NodeOf(obj)
}

// testUpdates reads lines such as "a launched claim=c1 node=n1".
func testUpdates(t *testing.T, input string) []Update {
	t.Helper()
	phases := map[string]Phase{
		"accepted": PhaseAccepted, "refused": PhaseRefused, "waiting": PhaseWaiting, "planned": PhasePlanned,
		"launched": PhaseLaunched, "ready": PhaseReady, "unlaunchable": PhaseUnlaunchable, "ended": PhaseEnded,
	}
	var updates []Update
	for line := range strings.SplitSeq(strings.TrimSpace(input), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		phase, ok := phases[words[1]]
		if !ok {
			t.Fatalf("unknown phase in %q", line)
		}
		u := Update{Ref: PodRef{UID: types.UID(words[0]), Namespace: "ns", Name: words[0]}, Phase: phase}
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "claim":
				u.Claim = value
			case "node":
				u.Node = value
			case "reason":
				u.Reason = value
			case "held":
				u.Held = true
			default:
				t.Fatalf("unknown word %q in %q", word, line)
			}
		}
		updates = append(updates, u)
	}
	return updates
}

func printEffects(fx Effects) string {
	var lines []string
	for _, w := range fx.Wake {
		lines = append(lines, fmt.Sprintf("wake %s: %s", w.Pod.Name, w.Gate))
	}
	for _, r := range fx.Release {
		lines = append(lines, fmt.Sprintf("release %s claim=%s: %s", r.Pod.Name, r.Claim, r.Reason))
	}
	for _, p := range fx.Resend {
		lines = append(lines, "resend "+p.Name)
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (w *world) printLedger() string {
	var lines []string
	for _, e := range w.ledger.pods {
		gate := "open"
		if e.GateClosed() {
			gate = "closed"
		}
		line := fmt.Sprintf("- %s %v gate=%s", e.Ref.Name, e.State, gate)
		for _, kv := range [][2]string{{"claim", e.Claim}, {"node", e.Node}, {"reason", e.Reason}} {
			if kv[1] != "" {
				line += " " + kv[0] + "=" + kv[1]
			}
		}
		if e.Binding {
			line += " binding"
		}
		if !e.deadline.IsZero() {
			line += " ttl=" + strconv.Itoa(int(e.deadline.Sub(w.now).Seconds())) + "s"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return "- nothing\n"
	}
	return strings.Join(lines, "\n") + "\n"
}
