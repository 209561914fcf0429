package plugin

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// explaining takes over what is told of pods that wait for the launcher. The scheduler's
// own handler would write a condition and an event for each failed attempt, one pod after
// the other, and the nomination would be a third write; the teller says it all in one.
func (p *Slipway) explaining(next scheduler.FailureHandlerFn) scheduler.FailureHandlerFn {
	return func(ctx context.Context, f framework.Framework, info *framework.QueuedPodInfo, status *fwk.Status, nominating *fwk.NominatingInfo, start time.Time) {
		uid, ref := info.Pod.UID, podRef(info.Pod)
		defer p.follow(ref)
		p.tried(uid)
		p.decide(info.Pod, status, nominating)
		if !p.explains(uid, status, nominating) {
			next(ctx, f, info, status, nominating, start)
			return
		}
		next(ctx, quiet{f}, info, status, nominating, start)
		pod := info.Pod
		if nominating.Mode() == fwk.ModeOverride && pod.Status.NominatedNodeName != "" {
			p.teller.adopt(uid, pod.Status.NominatedNodeName)
		}
		p.teller.tell(ref)
		p.shut(ref)
	}
}

// explains reports whether the teller says all there is to say of a pod's failed attempt.
func (p *Slipway) explains(pod types.UID, status *fwk.Status, nominating *fwk.NominatingInfo) bool {
	if !status.IsRejected() || nominating.Mode() == fwk.ModeOverride && nominating.NominatedNodeName != "" {
		// An error, or room that preemption makes.
		return false
	}
	r, reserved := p.ledger.Get(pod)
	switch {
	case !reserved:
		return false
	case r.State == ledger.Ready:
		// The scheduler's cache does not know the node yet; see PreFilter.
		fit, ok := status.AsError().(*framework.FitError) //nolint:errorlint // as the scheduler does
		return ok && fit.Diagnosis.UnschedulablePlugins.Equal(sets.New(Name))
	default:
		return r.GateClosed()
	}
}

// shut has the queue find the gate closed now. It would otherwise ask at the next event
// that concerns the pod, and weigh every event until then.
func (p *Slipway) shut(ref ledger.PodRef) {
	if r, ok := p.ledger.Get(ref.UID); ok && r.GateClosed() {
		p.handle.Activate(p.logger, map[string]*v1.Pod{ref.Namespace + "/" + ref.Name: named(ref)})
	}
}

// quiet is a framework through which the scheduler's failure handler does its work on the
// queue, but tells nobody.
type quiet struct{ framework.Framework }

func (quiet) EventRecorder() events.EventRecorderLogger { return silent{} }

// APICacher is where the handler writes a pod's status if there is one, whether
// SchedulerAsyncAPICalls is on or not (schedule_one.go, updatePod).
func (quiet) APICacher() fwk.APICacher { return discarding{} }

type silent struct{}

func (silent) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

func (s silent) WithLogger(klog.Logger) events.EventRecorderLogger { return s }

// discarding drops status patches. Nothing else is asked of it.
type discarding struct{ fwk.APICacher }

func (discarding) PatchPodStatus(*v1.Pod, *v1.PodCondition, *fwk.NominatingInfo) (<-chan error, error) {
	done := make(chan error)
	close(done)
	return done, nil
}
