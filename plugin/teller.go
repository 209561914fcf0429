package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

const (
	tellers     = 8
	tellTimeout = 10 * time.Second
	tellRetries = 5
	// maxNote is the API server's bound on an event's note, in bytes.
	maxNote = 1024
)

// teller makes users see what the ledger says: it keeps status.nominatedNodeName in
// step and writes events. It works from the ledger's present state, so that it does not
// matter how often or when it is called; its queue holds a pod at most once.
type teller struct {
	ledger   *ledger.Ledger
	pods     corelisters.PodLister
	client   clientset.Interface
	recorder events.EventRecorder
	queue    workqueue.TypedRateLimitingInterface[ledger.PodRef]

	mu   sync.Mutex
	told map[types.UID]told
}

// told is what was said about a pod last.
type told struct {
	node   string // nominated
	event  string // the node or the reason that the last event was about
	exists bool
}

func newTeller(l *ledger.Ledger, pods corelisters.PodLister, client clientset.Interface, recorder events.EventRecorder) *teller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[ledger.PodRef](100*time.Millisecond, 10*time.Second)
	return &teller{
		ledger: l, pods: pods, client: client, recorder: recorder,
		queue: workqueue.NewTypedRateLimitingQueue(limiter),
		told:  map[types.UID]told{},
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
	err := t.sync(ctx, ref)
	switch {
	case err == nil:
		t.queue.Forget(ref)
	case ctx.Err() == nil && t.queue.NumRequeues(ref) < tellRetries:
		t.queue.AddRateLimited(ref)
	default:
		klog.FromContext(ctx).Error(err, "Giving up", "pod", klog.KRef(ref.Namespace, ref.Name))
		t.queue.Forget(ref)
	}
	return true
}

// waiting returns the pod while it waits for news; nil when it is bound or gone, which
// is the only error of a lister.
func (t *teller) waiting(ref ledger.PodRef) *v1.Pod {
	pod, err := t.pods.Pods(ref.Namespace).Get(ref.Name)
	if err != nil || pod.UID != ref.UID || pod.Spec.NodeName != "" {
		return nil
	}
	return pod
}

// sync brings one pod in step with the ledger.
func (t *teller) sync(ctx context.Context, ref ledger.PodRef) error {
	r, reserved := t.ledger.Get(ref.UID)
	before := t.recall(ref.UID)
	after := told{node: r.Node, event: before.event, exists: reserved}
	pod := t.waiting(ref)
	if pod == nil {
		t.remember(ref.UID, told{})
		return nil
	}
	if err := t.nominate(ctx, pod, before.node, after.node); err != nil {
		return fmt.Errorf("pod %s/%s: nominate node %q: %w", ref.Namespace, ref.Name, after.node, err)
	}
	switch {
	case r.Node != "" && before.event != r.Node:
		after.event = r.Node
		t.recorder.Eventf(pod, nil, v1.EventTypeNormal, "Reserved", "Launching", "%s", reservedNote(r))
	case r.State == ledger.Planned && r.Reason != "" && before.event != r.Reason:
		after.event = r.Reason
		t.recorder.Eventf(pod, nil, v1.EventTypeWarning, "LaunchDelayed", "Launching", "%s", truncate(r.Reason))
	case r.State == ledger.Unlaunchable && before.event != r.Reason:
		after.event = r.Reason
		t.recorder.Eventf(pod, nil, v1.EventTypeWarning, "Unlaunchable", "Launching", "%s", truncate(describe(r)))
	}
	t.remember(ref.UID, after)
	return nil
}

// nominate sets the pod's nominated node. It clears only what it has set itself.
func (t *teller) nominate(ctx context.Context, pod *v1.Pod, former, node string) error {
	now := pod.Status.NominatedNodeName
	if now == node || node == "" && now != former {
		return nil
	}
	var value any
	if node != "" {
		value = node
	}
	patch, err := json.Marshal(map[string]any{
		// The UID is a precondition: a pod recreated under the name is left alone.
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"nominatedNodeName": value},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	_, err = t.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (t *teller) recall(uid types.UID) told {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told[uid]
}

func (t *teller) remember(uid types.UID, what told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !what.exists {
		delete(t.told, uid)
		return
	}
	t.told[uid] = what
}

// reservedNote says what was bought, where and for how much.
func reservedNote(r ledger.Reservation) string {
	return truncate(fmt.Sprintf("node %s (%s, %s, %s, $%.4f/h) is being launched for this pod (claim %s)",
		r.Node, r.Offer.InstanceType, r.Offer.Zone, r.Offer.CapacityType, r.Offer.Price, r.Claim))
}

func truncate(note string) string {
	if len(note) <= maxNote {
		return note
	}
	return note[:maxNote-4] + " ..."
}
