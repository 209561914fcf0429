package plugin

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/ledger"
)

// TestPolicy: what is done at first for a pod that fits nowhere, created 10 s ago.
func TestPolicy(t *testing.T) {
	const (
		never    = "Unschedulable: no node is launched for this pod, as the scheduler's configuration has it: it waits for room"
		preempts = "Unschedulable: a node is launched for this pod if it can preempt no others"
		until    = "Unschedulable: waiting for room; a node is launched for this pod from "
	)
	for _, tt := range []struct {
		name   string
		change func(rules *config.SlipwayArgs, pod *v1.Pod)
		want   string
	}{
		{"launch first", func(*config.SlipwayArgs, *v1.Pod) {}, handedOver},
		{"preempt first", func(rules *config.SlipwayArgs, _ *v1.Pod) { rules.Order = config.PreemptFirst }, preempts},
		{"never", func(rules *config.SlipwayArgs, _ *v1.Pod) { rules.Order = config.NeverLaunch }, never},
		{"its class launches", func(rules *config.SlipwayArgs, pod *v1.Pod) {
			rules.Order, rules.OrderByPriorityClass, pod.Spec.PriorityClassName = config.NeverLaunch, map[string]config.Order{"high": config.LaunchFirst}, "high"
		}, handedOver},
		{"another class launches", func(rules *config.SlipwayArgs, pod *v1.Pod) {
			rules.Order, rules.OrderByPriorityClass, pod.Spec.PriorityClassName = config.NeverLaunch, map[string]config.Order{"high": config.LaunchFirst}, "low"
		}, never},
		{"delayed", func(rules *config.SlipwayArgs, _ *v1.Pod) { rules.LaunchDelay.Duration = 30 * time.Second }, until + "01:47:00 UTC"},
		{"delayed long enough", func(rules *config.SlipwayArgs, _ *v1.Pod) { rules.LaunchDelay.Duration = 10 * time.Second }, handedOver},
		{"delayed by annotation", func(_ *config.SlipwayArgs, pod *v1.Pod) { pod.Annotations = map[string]string{delayAnnotation: "1m"} }, until + "01:47:30 UTC"},
		{"not delayed, by annotation", func(rules *config.SlipwayArgs, pod *v1.Pod) {
			rules.LaunchDelay.Duration, pod.Annotations = time.Hour, map[string]string{delayAnnotation: "0s"}
		}, handedOver},
		{"an annotation that nobody understands", func(rules *config.SlipwayArgs, pod *v1.Pod) {
			rules.LaunchDelay.Duration, pod.Annotations = 30*time.Second, map[string]string{delayAnnotation: "soon"}
		}, until + `01:47:00 UTC (annotation slipway.dev/launch-delay is "soon", which is no duration such as 90s)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := pod("a", "2").Obj()
			a.CreationTimestamp = metav1.NewTime(w.clock.Now().Add(-10 * time.Second))
			tt.change(w.plugin.policy.rules[SchedulerName], a)
			w.exists(a)
			w.nodes(nil, node("small", "1"))
			if got := w.plugin.launchesAtOnce(a); got != (tt.want == handedOver) {
				t.Errorf("may be refused from memory: %v", got)
			}
			w.want("first cycle", w.schedule(a), tt.want)
		})
	}
}

// TestPreemptFirst: a pod is handed over once its attempt has ended without room being made.
func TestPreemptFirst(t *testing.T) {
	made := &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: "small"}
	refused := fwk.NewStatus(fwk.Unschedulable).WithError(&framework.FitError{})
	for _, tt := range []struct {
		name       string
		nominating *fwk.NominatingInfo
		status     *fwk.Status
		want       []string
	}{
		{"others can be preempted", made, refused, nil},
		{"none can", nil, refused, []string{"reserve a"}},
		{"none can any more", &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride}, refused, []string{"reserve a"}},
		{"the attempt failed", nil, fwk.NewStatus(fwk.Error, "no"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.plugin.policy.rules[SchedulerName].Order = config.PreemptFirst
			a := pod("a", "2").Obj()
			w.exists(a)
			w.nodes(nil, node("small", "1"))
			w.schedule(a)
			w.wantLog()
			w.plugin.decide(a, tt.status, tt.nominating)
			w.wantLog(tt.want...)
			w.plugin.decide(a, refused, nil) // another attempt, which PostFilter was not asked about
			w.wantLog()
		})
	}
}

// TestDelayEnds: the scheduler is asked to look again when a pod's delay has passed.
func TestDelayEnds(t *testing.T) {
	w := newWorld(t)
	done := make(chan struct{})
	go func() { defer close(done); w.plugin.wakeDue(w.ctx) }()
	w.plugin.policy.due.AddAfter(ledger.PodRef{UID: "a", Namespace: "ns", Name: "a"}, time.Minute)
	until := func(what string, holds func() bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(w.ctx, time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) { return holds(), nil })
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until("the queue waits", w.clock.HasWaiters)
	w.wantLog()
	var log []string
	until("the pod is activated", func() bool {
		w.clock.Step(30 * time.Second)
		log = w.took()
		return len(log) > 0
	})
	if diff := cmp.Diff([]string{"activate a"}, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	w.stop()
	<-done
}
