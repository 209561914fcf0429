package fit

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// StopClock keeps time from ending a search: what is left to end it is the count of its steps.
func (e *Engine) StopClock() {
	at := time.Now()
	e.now = func() time.Time { return at }
}

// Devices is what the engine's plugins are told of devices and claims.
func (e *Engine) Devices() fwk.SharedDRAManager { return e.devices }

// Oversights lists what PreFilter finds otherwise when a class is shown all pods of all
// nodes, not only those that it counts.
func (e *Engine) Oversights(ctx context.Context, in Input) (all []string, err error) {
	s, err := e.newSpace(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, c := range s.classes {
		if c.daemon || len(c.sample.Spec.SchedulingGates) > 0 {
			continue
		}
		state, named, rejected := s.prefilter(c.sample)
		if rejected != c.rejected || !reflect.DeepEqual(named, c.named) {
			all = append(all, fmt.Sprintf("%s: rejected %q, nodes %v instead of %q, %v", c.sample.Name, c.rejected, c.named, rejected, named))
			continue
		}
		if rejected == "" {
			for plugin, differs := range map[string]bool{names.PodTopologySpread: spreadDiffers(c.state, state), names.InterPodAffinity: affinityDiffers(c.state, state)} {
				if differs || !c.state.GetSkipFilterPlugins().Equal(state.GetSkipFilterPlugins()) {
					all = append(all, fmt.Sprintf("%s: the state of %s", c.sample.Name, plugin))
				}
			}
		}
	}
	return all, nil
}

func spreadDiffers(a, b fwk.CycleState) bool {
	x, ok := spreadOf(a)
	y, also := spreadOf(b)
	if ok != also || len(x.counts) != len(y.counts) {
		return true
	}
	for i := range x.counts {
		if x.least(i) != y.least(i) {
			return true
		}
		if x.key(i) == corev1.LabelHostname { // a host that is not shown has none
			none := func(_ string, n int) bool { return n == 0 }
			maps.DeleteFunc(x.counts[i], none)
			maps.DeleteFunc(y.counts[i], none)
		}
		if !maps.Equal(x.counts[i], y.counts[i]) {
			return true
		}
	}
	return false
}

func affinityDiffers(a, b fwk.CycleState) bool {
	x, err := pluginState(a, names.InterPodAffinity)
	y, missing := pluginState(b, names.InterPodAffinity)
	if err != nil || missing != nil {
		return (err == nil) != (missing == nil)
	}
	for _, field := range []string{"existingAntiAffinityCounts", "affinityCounts", "antiAffinityCounts"} {
		if !maps.Equal(counted(x.FieldByName(field)), counted(y.FieldByName(field))) {
			return true
		}
	}
	return false
}
