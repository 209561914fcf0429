package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// right is one thing that one may do, such as "patch slipway.dev/nodeclaims/status".
type right string

func rightTo(verb, group, resource, subresource, name string) right {
	if subresource != "" {
		resource += "/" + subresource
	}
	if group != "" {
		resource = group + "/" + resource
	}
	if name != "" {
		resource += " " + name
	}
	return right(verb + " " + resource)
}

// seldom are rights that a walk through the life of nodes does not use, and what needs them.
var seldom = map[right]string{
	"patch events.k8s.io/events":        "the same is said again and again",
	"get persistentvolumeclaims":        "a pod with volumes leaves a node",
	"watch services":                    "PodTopologySpread has the system's default constraints",
	"watch replicationcontrollers":      "PodTopologySpread has the system's default constraints",
	"watch scheduling.k8s.io/podgroups": "the API server has PodGroups",
	"watch policy/poddisruptionbudgets": "a node with pods on it is replaced",
	"get slipway.dev/nodeclaims":        "others write to a claim at the same time",
	"get pods":                          "a pod is reserved for that the cache does not know yet",
}

// TestRights: the daemons are refused nothing, and each right that the chart gives them is
// used, so that removing any would break something.
func TestRights(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	w := start(t, func(c *stack.Config) { c.APIServerArgs = auditArgs(t, log) })
	w.walkThrough()
	needless := maps.Clone(seldom)
	for _, daemon := range []devcluster.User{devcluster.Launcher(), devcluster.Scheduler()} {
		used := rightsUsed(t, log, daemon.Name)
		for r, decision := range used {
			if decision != allowed {
				t.Errorf("%s may not %s", daemon.File, r)
			}
		}
		for r := range rightsGranted(t, daemon.File) {
			delete(needless, r)
			// A watch may begin with a list, where the API server cannot stream what there is.
			if what, ok := strings.CutPrefix(string(r), "list "); ok {
				r = right("watch " + what)
			}
			if _, ok := used[r]; !ok && seldom[r] == "" {
				t.Errorf("%s may %s and did not", daemon.File, r)
			}
		}
	}
	for r, why := range needless {
		t.Errorf("nobody may %s, which is needed where %s", r, why)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range shipped(t) {
		reason := fmt.Sprintf(`RBAC: allowed by %s \"%s`, o.GetKind(), o.GetName())
		// The volume binder writes to PersistentVolumes only where a pod waits for one.
		if strings.HasSuffix(o.GetKind(), "Binding") && o.GetName() != "slipway-scheduler-volume-scheduler" && !bytes.Contains(raw, []byte(reason)) {
			t.Errorf("nothing was allowed by %s %s", o.GetKind(), o.GetName())
		}
	}
}

// shipped returns the objects that the chart makes by default.
func shipped(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := stack.Read(filepath.Join(repo, "manifests", "rendered", "default", "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// walkThrough has pods get nodes and the nodes go again, by themselves and by force.
func (w *world) walkThrough() {
	w.t.Helper()
	w.create(&v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}})
	p := pool("t3", time.Second, "t3.medium")
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: "plain"}
	p.Spec.Template.Spec.TerminationGracePeriod = &metav1.Duration{Duration: 5 * time.Second}
	w.poolReady(p)
	d := deployment("web", 2, "1")
	w.create(d)
	w.bound("web", 2)
	w.delete(d)
	w.clean()

	// A pod that its budget protects goes when its node's time is over.
	kept := pod("kept", "1")
	kept.Spec.TerminationGracePeriodSeconds = new(int64(2))
	w.create(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(0)), Selector: &metav1.LabelSelector{MatchLabels: kept.Labels},
		},
	}, kept)
	w.bound("kept", 1)
	claims := w.claims()
	w.delete(&claims[0])
	w.clean()
}

// allowed is what the API server notes of what it does not refuse.
const allowed = "allow"

// auditArgs have the API server log every request of service accounts.
func auditArgs(t *testing.T, log string) []string {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(`
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  userGroups: [system:serviceaccounts]
  omitStages: [RequestReceived]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + log}
}

// rightsUsed returns what a user asked for, with what the API server decided.
func rightsUsed(t *testing.T, log, user string) map[right]string {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	used := map[right]string{}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var event struct {
			Verb        string
			User        struct{ Username string }
			ObjectRef   *struct{ APIGroup, Resource, Subresource, Name string }
			Annotations map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			break // the line that is being written
		}
		o := event.ObjectRef
		if event.User.Username != user || o == nil {
			continue
		}
		for _, name := range []string{"", o.Name} {
			r := rightTo(event.Verb, o.APIGroup, o.Resource, o.Subresource, name)
			if used[r] == "" || used[r] == allowed {
				used[r] = event.Annotations["authorization.k8s.io/decision"]
			}
		}
	}
	return used
}

// rightsGranted returns what the chart's own roles of a daemon allow.
func rightsGranted(t *testing.T, daemon string) sets.Set[right] {
	t.Helper()
	granted := sets.New[right]()
	for _, o := range shipped(t) {
		if o.GetName() != daemon || !strings.HasSuffix(o.GetKind(), "Role") {
			continue
		}
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			if len(rule.ResourceNames) == 0 {
				rule.ResourceNames = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						for _, name := range rule.ResourceNames {
							granted.Insert(rightTo(verb, group, resource, "", name))
						}
					}
				}
			}
		}
	}
	if len(granted) == 0 {
		t.Fatalf("the chart grants %s nothing", daemon)
	}
	return granted
}
