package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// TestUnhealthyNodeIsReplaced: of each two nodes one has no network, one hangs, its kubelet
// with it, and one has a host that fails EC2's check while its pods go on. They are replaced,
// although their pods ask not to be disrupted; nothing else is touched.
func TestUnhealthyNodeIsReplaced(t *testing.T) {
	t.Parallel()
	const nodes = 2
	w := start(t, func(c *stack.Config) {
		c.Launcher = func(l *launcherconfig.Config) { l.Repair.Toleration = metav1.Duration{Duration: 3 * time.Second} }
	})
	checks := []string{"network", simec2.CheckInstance, simec2.CheckSystem}
	broken := map[string]string{} // by check, the name of a claim
	for _, check := range checks {
		w.poolReady(pool(check, never, "m5.large"))
		app := deployment(check, nodes, "1200m", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{v1alpha1.LabelNodePool: check} })
		app.Spec.Template.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
		w.create(app)
		w.settled(check, nodes)
		claim := w.look(check).claims[0]
		broken[check] = claim.Name
		if check == "network" {
			w.hasNoNetwork(claim.Status.NodeName)
		} else if err := w.Sim.Impair(check, claim.Status.InstanceID); err != nil {
			t.Fatal(err)
		}
	}
	for _, check := range checks {
		fewest := nodes
		began := time.Now()
		w.eventually("the node of which the "+check+" fails is replaced", func() error {
			s := w.look(check)
			up := len(slices.DeleteFunc(slices.Clone(s.pods), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || !onNode(p) }))
			fewest = min(fewest, up)
			if up != nodes || !every(nodes, s.claims, initialized) || slices.ContainsFunc(s.claims, func(c v1alpha1.NodeClaim) bool { return c.Name == broken[check] }) {
				return fmt.Errorf("there are %s; %d pods are up", s, up)
			}
			return nil
		})
		t.Logf("%s: replaced after %v more, at least %d of %d pods had a node", check, time.Since(began).Round(time.Second), fewest, nodes)
		w.event("NodeClaim", broken[check], "Terminating", string(v1alpha1.ReasonUnhealthy))
		if n := len(w.look(check).instances); n != nodes+1 {
			t.Errorf("%s: %d instances were bought, want %d", check, n, nodes+1)
		}
	}
}

// hasNoNetwork has a node say what the node monitoring agent of EKS would.
func (w *world) hasNoNetwork(name string) {
	w.t.Helper()
	w.eventually(name+" has no network", func() error {
		var n corev1.Node
		if err := w.Client.Get(w.ctx, client.ObjectKey{Name: name}, &n); err != nil {
			return err
		}
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: "NetworkingReady", Status: corev1.ConditionFalse, Reason: "IPAMDNotReady", Message: "no addresses", LastTransitionTime: metav1.Now(),
		})
		return w.Client.Status().Update(w.ctx, &n)
	})
}
