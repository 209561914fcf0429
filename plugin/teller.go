package plugin

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

const (
	// tellers bounds how many pods are told of at once: enough to keep up with a thousand
	// pods a second when a write takes the API server 15 ms.
	tellers     = 16
	tellTimeout = 10 * time.Second
	tellRetries = 5
	// patience is how long a pod is left without an explanation while its node has no name
	// yet. Mostly there is one sooner, and a single write says everything.
	patience = 2 * time.Second
	// maxNote is the API server's bound on an event's note, in bytes.
	maxNote = 1024
)

// teller makes users see what the ledger says: it keeps a pod's PodScheduled condition and
// status.nominatedNodeName in step and writes events. A pod costs one write when its node
// is known; only one that waits for that longer than patience, or for a reason, costs
// another. The teller works from the ledger's present state, so that it does not matter
// how often or when it is called; its queue holds a pod at most once.
type teller struct {
	ledger *ledger.Ledger
	pods   corelisters.PodLister
	handle fwk.Handle
	clock  clock.Clock
	queue  workqueue.TypedRateLimitingInterface[ledger.PodRef]
	// recorders speak for each profile, by its name. Pods of others are theirs to tell of.
	recorders map[string]events.EventRecorderLogger

	mu   sync.Mutex
	told map[types.UID]told
}

// told is what was said about a pod last.
type told struct {
	node    string // nominated
	message string // of the condition
	event   string // the node or the reason that the last event was about
	// ended is when the pod was found to have no reservation any more.
	ended time.Time
}

func newTeller(l *ledger.Ledger, pods corelisters.PodLister, handle fwk.Handle, clk clock.WithTicker) *teller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[ledger.PodRef](100*time.Millisecond, 10*time.Second)
	return &teller{
		ledger: l, pods: pods, handle: handle, clock: clk,
		queue:     workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[ledger.PodRef]{Clock: clk}),
		recorders: map[string]events.EventRecorderLogger{},
		told:      map[types.UID]told{},
	}
}

func (t *teller) tell(refs ...ledger.PodRef) {
	for _, ref := range refs {
		t.queue.Add(ref)
	}
}

// run works until ctx ends.
func (t *teller) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range tellers {
		wg.Go(func() {
			for t.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	t.queue.ShutDown()
	wg.Wait()
}

func (t *teller) next(ctx context.Context) bool {
	ref, shutdown := t.queue.Get()
	if shutdown {
		return false
	}
	defer t.queue.Done(ref)
	wait, err := t.sync(ctx, ref)
	switch {
	case err == nil:
		t.queue.Forget(ref)
		if wait > 0 {
			t.queue.AddAfter(ref, wait)
		}
	case ctx.Err() == nil && t.queue.NumRequeues(ref) < tellRetries:
		t.queue.AddRateLimited(ref)
	default:
		klog.FromContext(ctx).Error(err, "Giving up", "pod", klog.KRef(ref.Namespace, ref.Name))
		t.queue.Forget(ref)
	}
	return true
}

// waiting returns the pod while it waits for news; nil when it is bound, another
// scheduler's, or gone, which is the only error of a lister.
func (t *teller) waiting(ref ledger.PodRef) *v1.Pod {
	pod, err := t.pods.Pods(ref.Namespace).Get(ref.Name)
	if err != nil || pod.UID != ref.UID || pod.Spec.NodeName != "" || t.recorders[pod.Spec.SchedulerName] == nil {
		return nil
	}
	return pod
}

// sync brings one pod in step with the ledger. A positive wait says when to look again.
func (t *teller) sync(ctx context.Context, ref ledger.PodRef) (wait time.Duration, err error) {
	pod := t.waiting(ref)
	if pod == nil {
		t.forget(ref.UID)
		return 0, nil
	}
	if r, reserved := t.ledger.Get(ref.UID); reserved {
		wait, err = t.follow(ctx, pod, r)
	} else {
		wait, err = t.conclude(ctx, pod)
	}
	if err != nil {
		return 0, fmt.Errorf("pod %s/%s: tell how it stands: %w", ref.Namespace, ref.Name, err)
	}
	return wait, nil
}

// follow tells how things stand with a pod that has a reservation.
func (t *teller) follow(ctx context.Context, pod *v1.Pod, r ledger.Reservation) (wait time.Duration, err error) {
	before := t.recall(pod.UID)
	after := told{node: r.Node, message: before.message, event: before.event}
	switch {
	case r.State == ledger.Launched:
		after.message = describe(r)
	case !r.GateClosed():
		// It is up to the scheduler to say why it does not place the pod.
	case r.Reason != "" || before.message != "" || before.node != "":
		after.message = describe(r)
	default:
		if wait = r.Since.Add(patience).Sub(t.clock.Now()); wait <= 0 {
			after.message = describe(r)
		}
	}
	if err := t.write(ctx, pod, before, after); err != nil {
		return 0, err
	}
	after.event = t.announce(pod, r, before.event)
	t.remember(pod.UID, after)
	return wait, nil
}

// conclude clears the nomination of a pod that has no reservation any more. Mostly that is
// because the pod was bound just now, which is not seen yet and makes a write pointless.
func (t *teller) conclude(ctx context.Context, pod *v1.Pod) (wait time.Duration, err error) {
	before := t.recall(pod.UID)
	switch {
	case before.node == "":
	case before.ended.IsZero():
		before.ended = t.clock.Now()
		t.remember(pod.UID, before)
		return patience, nil
	case t.clock.Since(before.ended) < patience:
		return before.ended.Add(patience).Sub(t.clock.Now()), nil
	default:
		if err := t.write(ctx, pod, before, told{message: before.message}); err != nil {
			return 0, err
		}
	}
	t.forget(pod.UID)
	return 0, nil
}

// announce records an event if there is something new, and returns what the last event
// was about.
func (t *teller) announce(pod *v1.Pod, r ledger.Reservation, last string) string {
	kind, reason, about, note := v1.EventTypeWarning, "", r.Reason, ""
	switch {
	case r.Node != "":
		kind, reason, about, note = v1.EventTypeNormal, "Reserved", r.Node, reservedNote(r)
	case r.State == ledger.Planned && r.Reason != "":
		reason, note = "LaunchDelayed", r.Reason
	case r.State == ledger.Unlaunchable:
		reason, note = "Unlaunchable", describe(r)
	default:
		return last
	}
	if about != last {
		t.recorders[pod.Spec.SchedulerName].Eventf(pod, nil, kind, reason, "Launching", "%s", truncate(note))
	}
	return about
}

func (t *teller) recall(uid types.UID) told {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told[uid]
}

func (t *teller) remember(uid types.UID, what told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[uid] = what
}

func (t *teller) forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.told, uid)
}

// adopt takes a nomination that the scheduler has given up for the teller's own, to be
// cleared with its next write.
func (t *teller) adopt(uid types.UID, node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what := t.told[uid]
	what.node = node
	t.told[uid] = what
}

// reservedNote says what was bought, where and for how much, since when the pod waits, with
// whom it was planned and when it will run.
func reservedNote(r ledger.Reservation) string {
	note := fmt.Sprintf("node %s (%s, %s, %s, $%.4f/h) is being launched for this pod (claim %s)",
		r.Node, r.Offer.InstanceType, r.Offer.Zone, r.Offer.CapacityType, r.Offer.Price, r.Claim)
	if !r.Offer.ExpectedReady.IsZero() {
		note += "; expected to be ready at " + clockTime(r.Offer.ExpectedReady)
	}
	note += "; the pod waits since " + clockTime(r.Since)
	if r.Batch != "" {
		note += ", " + r.Batch
	}
	return note
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func truncate(note string) string {
	if len(note) <= maxNote {
		return note
	}
	return note[:maxNote-4] + " ..."
}
