package courier

import (
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// outbox holds what waits to be sent, and what was sent but is not answered. Its
// methods do not block beyond its lock, under which nothing is called.
type outbox struct {
	limit  int
	length func(int)
	// filled holds a token while something may be waiting.
	filled chan struct{}

	mu       sync.Mutex
	order    []types.UID // of pods; may name some that are no longer waiting
	pods     map[types.UID]*v1.Pod
	unacked  map[types.UID]*v1.Pod
	releases []ledger.Release
}

func newOutbox(limit int, length func(int)) *outbox {
	return &outbox{
		limit: limit, length: length, filled: make(chan struct{}, 1),
		pods: map[types.UID]*v1.Pod{}, unacked: map[types.UID]*v1.Pod{},
	}
}

func (o *outbox) addPod(pod *v1.Pod) error {
	o.mu.Lock()
	_, waiting := o.pods[pod.UID]
	full := !waiting && len(o.pods) >= o.limit
	if !full {
		o.push(pod)
	}
	o.mu.Unlock()
	if full {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrQueueFull)
	}
	o.signal()
	return nil
}

// push queues a pod, or replaces a pod that is queued already.
func (o *outbox) push(pod *v1.Pod) {
	if _, waiting := o.pods[pod.UID]; !waiting {
		o.order = append(o.order, pod.UID)
	}
	o.pods[pod.UID] = pod
}

func (o *outbox) addReleases(releases []ledger.Release) error {
	if len(releases) == 0 {
		return nil
	}
	o.mu.Lock()
	full := len(o.releases)+len(releases) > o.limit
	if !full {
		o.releases = append(o.releases, releases...)
	}
	o.mu.Unlock()
	if full {
		return fmt.Errorf("%d releases: %w", len(releases), ErrQueueFull)
	}
	o.signal()
	return nil
}

func (o *outbox) drop(uid types.UID) {
	o.mu.Lock()
	delete(o.pods, uid)
	delete(o.unacked, uid)
	o.mu.Unlock()
	o.report()
}

// takeReleases returns up to n releases. They stay until released is called.
func (o *outbox) takeReleases(n int) []ledger.Release {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.releases[:min(n, len(o.releases))]
}

// released forgets the first n releases: they were answered.
func (o *outbox) released(n int) {
	o.mu.Lock()
	o.releases = append([]ledger.Release(nil), o.releases[n:]...)
	o.mu.Unlock()
	o.report()
}

// takePods returns up to n pods, oldest first. Each stays until answered or requeue.
func (o *outbox) takePods(n int) []*v1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	var batch []*v1.Pod
	for len(batch) < n && len(o.order) > 0 {
		uid := o.order[0]
		o.order = o.order[1:]
		pod, ok := o.pods[uid]
		if !ok {
			continue
		}
		delete(o.pods, uid)
		o.unacked[uid] = pod
		batch = append(batch, pod)
	}
	return batch
}

// answered forgets a pod that was taken.
func (o *outbox) answered(uid types.UID) {
	o.mu.Lock()
	delete(o.unacked, uid)
	o.mu.Unlock()
}

// requeue puts back, in front, the pods that were taken and are not answered. Pods that
// were dropped meanwhile stay away; newer versions of a pod win.
func (o *outbox) requeue(batch []*v1.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var again []types.UID
	for _, pod := range batch {
		_, kept := o.unacked[pod.UID]
		delete(o.unacked, pod.UID)
		if _, newer := o.pods[pod.UID]; kept && !newer {
			o.pods[pod.UID] = pod
			again = append(again, pod.UID)
		}
	}
	o.order = append(again, o.order...)
}

func (o *outbox) signal() {
	select {
	case o.filled <- struct{}{}:
	default:
	}
	o.report()
}

func (o *outbox) report() {
	o.mu.Lock()
	n := len(o.pods) + len(o.unacked) + len(o.releases)
	o.mu.Unlock()
	o.length(n)
}
