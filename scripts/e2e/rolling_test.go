package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// TestRollingImages: the image of 50 nodes in use is changed. A Deployment that may lack no pod
// lacks none at any time: its nodes are kept, and say for whom. All others are replaced, ten at
// a time, and so are those once their pods may go one by one.
func TestRollingImages(t *testing.T) {
	t.Parallel()
	const nodes, whole, atOnce = 50, 10, 10
	w := start(t, nil)
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "pinned"}}
	class.Spec.AMISelectorTerms = []v1alpha1.AMISelectorTerm{{Alias: "al2023@v20260701"}}
	p := pool("rolling", never, "m5.large")
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: class.Name}
	p.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: fmt.Sprint(atOnce)}}
	w.create(class)
	w.poolReady(p)
	guard := podBudget("whole", 0)
	w.create(deployment("whole", whole, "1200m"), guard, deployment("load", nodes-whole, "1200m"), podBudget("load", atOnce))
	w.bound("whole", whole)
	w.bound("load", nodes-whole)
	w.moment("all nodes are initialized", "rolling", func(s scene) bool { return every(nodes, s.claims, initialized) })
	image := w.look("rolling").claims[0].Status.ImageID
	bought := w.launches()

	w.change(class, func() { class.Spec.AMISelectorTerms[0].Alias = "al2023@v20260722" })
	old := func(c v1alpha1.NodeClaim) bool { return c.Status.ImageID == image }
	rolled := func(left int) func() error {
		return func() error {
			s := w.look("rolling")
			was := len(slices.DeleteFunc(slices.Clone(s.claims), func(c v1alpha1.NodeClaim) bool { return !old(c) }))
			if was != left || !every(nodes, s.claims, initialized) {
				return fmt.Errorf("%d nodes of the old image, there are %s", was, s)
			}
			return nil
		}
	}
	fewest, took := w.watch("whole", func() { w.within(3*time.Minute, "all other nodes are replaced", rolled(whole)) })
	t.Logf("%d nodes replaced in %v, %d at a time; at least %d of %d pods of which none may lack were ready at any time",
		nodes-whole, took.Round(time.Second), atOnce, fewest, whole)
	if fewest < whole {
		t.Errorf("only %d of %d pods were ready", fewest, whole)
	}
	w.event("Node", "", "DisruptionBlocked", "PodDisruptionBudget whole of pod default/whole-")

	w.change(guard, func() { guard.Spec.MaxUnavailable = new(intstr.FromInt32(1)) })
	fewest, took = w.watch("whole", func() { w.within(3*time.Minute, "the rest is replaced", rolled(0)) })
	t.Logf("%d more replaced in %v; at least %d of %d pods of which one may lack were ready at any time", whole, took.Round(time.Second), fewest, whole)
	if fewest < whole-1 {
		t.Errorf("only %d of %d pods were ready", fewest, whole)
	}
	if n := w.launches() - bought; n > nodes+nodes/10 {
		t.Errorf("%d instances were bought in place of %d", n, nodes)
	}
}

// podBudget lets so many pods of an app lack.
func podBudget(app string, most int) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: app},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt(most)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
		},
	}
}

// watch counts an app's ready pods every 100 ms while something goes on, and returns the
// fewest there were, and how long it took.
func (w *world) watch(app string, during func()) (fewest int, took time.Duration) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.ctx)
	result := make(chan int)
	began := time.Now()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		fewest := int(^uint(0) >> 1)
		for {
			select {
			case <-ctx.Done():
				result <- fewest
				return
			case <-tick.C:
			}
			var pods corev1.PodList
			if err := w.Client.List(ctx, &pods, client.InNamespace("default"), client.MatchingLabels{"app": app}); err == nil {
				fewest = min(fewest, len(slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !isUp(p) })))
			}
		}
	}()
	defer func() {
		stop()
		fewest, took = <-result, time.Since(began)
	}()
	during()
	return 0, 0
}

// isUp tells whether a pod is ready and to stay.
func isUp(p corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
