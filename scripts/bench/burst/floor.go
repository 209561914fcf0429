package burst

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/stack"
)

const (
	floorRuns = 5
	// nobody schedules the pods that are bound by hand, to a node that does not exist.
	nobody = "nobody"
)

// floor returns how long the control plane alone takes, on this machine, to bind as many
// pods as a node holds, in milliseconds: all bindings are asked for at once, and nobody
// decides, starts the pods or tells of them. What is measured from a node's readiness on
// cannot be below.
func (r *runner) floor(ctx context.Context) (float64, error) {
	var all []float64
	for run := range floorRuns {
		took, err := r.bindByHand(ctx, fmt.Sprintf("floor-%d", run))
		if err != nil {
			return 0, fmt.Errorf("bind pods by hand: %w", err)
		}
		all = append(all, float64(took)/float64(time.Millisecond))
	}
	return median(all), nil
}

func (r *runner) bindByHand(ctx context.Context, name string) (took time.Duration, err error) {
	r.observer.Reset()
	pods := make([]*corev1.Pod, podsOnNode)
	for i := range pods {
		pods[i] = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: stack.Namespace, Name: fmt.Sprintf("%s-%d", name, i)},
			Spec:       corev1.PodSpec{SchedulerName: nobody, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		}
		if err := r.stack.Client.Create(ctx, pods[i]); err != nil {
			return 0, err
		}
	}
	if err := r.observer.WaitFor(ctx, readyWithin, "pods created", func(v *observe.View) bool { return v.LivePods() == podsOnNode }); err != nil {
		return 0, err
	}
	start := time.Now()
	var calls errgroup.Group
	for _, pod := range pods {
		calls.Go(func() error {
			return r.stack.Client.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: name}})
		})
	}
	if err := calls.Wait(); err != nil {
		return 0, err
	}
	if err := r.observer.WaitFor(ctx, readyWithin, "pods bound", func(v *observe.View) bool { return v.Bound() == podsOnNode }); err != nil {
		return 0, err
	}
	took = time.Since(start)
	for _, pod := range pods {
		if err := r.stack.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return 0, err
		}
	}
	return took, r.observer.WaitFor(ctx, readyWithin, "pods gone", func(v *observe.View) bool { return v.LivePods() == 0 })
}
