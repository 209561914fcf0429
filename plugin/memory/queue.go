package memory

import (
	"context"
	"hash/maphash"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/queue"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Queue is the scheduler's queue with an ear to it: a memory is told of every change
// before the queue is, and of nominations that end, for which there is no event. It must
// take the place of the queue in the scheduler and, as nominator, in its profiles.
type Queue struct {
	queue.SchedulingQueue
	memory *Memory

	seed    maphash.Seed
	stripes [64]stripe
}

// stripe holds the nominations of some pods. Its lock is held while the queue's is taken,
// never the other way round, so that both see the changes of one pod in the same order.
type stripe struct {
	mu        sync.Mutex
	nominated map[types.UID]nomination
}

// nomination is where a pod's nomination counts.
type nomination struct {
	node     string
	priority int32
	// assumed says that the pod itself takes the room up by now.
	assumed bool
}

// NewQueue returns q with m listening.
func NewQueue(q queue.SchedulingQueue, m *Memory) *Queue {
	listening := &Queue{SchedulingQueue: q, memory: m, seed: maphash.MakeSeed()}
	for i := range listening.stripes {
		listening.stripes[i].nominated = map[types.UID]nomination{}
	}
	return listening
}

// MoveAllToActiveOrBackoffQueue implements queue.SchedulingQueue.
func (q *Queue) MoveAllToActiveOrBackoffQueue(logger klog.Logger, event fwk.ClusterEvent, oldObj, newObj any, preCheck queue.PreEnqueueCheck) {
	q.memory.changed(change{event: event, old: oldObj, new: newObj, some: preCheck != nil})
	q.SchedulingQueue.MoveAllToActiveOrBackoffQueue(logger, event, oldObj, newObj, preCheck)
}

// AssignedPodAdded implements queue.SchedulingQueue.
func (q *Queue) AssignedPodAdded(logger klog.Logger, pod *v1.Pod) {
	q.memory.changed(change{event: framework.EventAssignedPodAdd, new: pod})
	q.SchedulingQueue.AssignedPodAdded(logger, pod)
}

// AssignedPodUpdated implements queue.SchedulingQueue.
func (q *Queue) AssignedPodUpdated(logger klog.Logger, oldPod, newPod *v1.Pod, event fwk.ClusterEvent) {
	q.memory.changed(change{event: event, old: oldPod, new: newPod})
	q.SchedulingQueue.AssignedPodUpdated(logger, oldPod, newPod, event)
}

// Add implements queue.SchedulingQueue.
func (q *Queue) Add(ctx context.Context, pod *v1.Pod) {
	q.follow(pod, pod.Status.NominatedNodeName, func() { q.SchedulingQueue.Add(ctx, pod) })
}

// Update implements queue.SchedulingQueue.
func (q *Queue) Update(ctx context.Context, oldPod, newPod *v1.Pod) {
	q.follow(newPod, newPod.Status.NominatedNodeName, func() { q.SchedulingQueue.Update(ctx, oldPod, newPod) })
}

// Delete implements queue.SchedulingQueue.
func (q *Queue) Delete(pod *v1.Pod) {
	s := q.stripeOf(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	q.SchedulingQueue.Delete(pod)
	was, known := s.nominated[pod.UID]
	delete(s.nominated, pod.UID)
	if known && !was.assumed {
		q.ended(was)
	}
}

// AddUnschedulableIfNotPresent implements queue.SchedulingQueue. The queue gets a copy: the
// scheduler reads what it gives away once more when it nominates the pod (schedule_one.go:1280),
// while an update may change it in the queue already.
func (q *Queue) AddUnschedulableIfNotPresent(logger klog.Logger, pod *framework.QueuedPodInfo, cycle int64) error {
	queued, info := *pod, *pod.PodInfo
	queued.PodInfo = &info
	return q.SchedulingQueue.AddUnschedulableIfNotPresent(logger, &queued, cycle)
}

// AddNominatedPod implements fwk.PodNominator.
func (q *Queue) AddNominatedPod(logger klog.Logger, pi fwk.PodInfo, info *fwk.NominatingInfo) {
	node := pi.GetPod().Status.NominatedNodeName
	if info.Mode() == fwk.ModeOverride {
		node = info.NominatedNodeName
	}
	q.follow(pi.GetPod(), node, func() { q.SchedulingQueue.AddNominatedPod(logger, pi, info) })
}

// UpdateNominatedPod implements fwk.PodNominator.
func (q *Queue) UpdateNominatedPod(logger klog.Logger, oldPod *v1.Pod, pi fwk.PodInfo) {
	q.follow(pi.GetPod(), pi.GetPod().Status.NominatedNodeName, func() { q.SchedulingQueue.UpdateNominatedPod(logger, oldPod, pi) })
}

// DeleteNominatedPodIfExists implements fwk.PodNominator. The scheduler calls it when it
// has assumed a pod (schedule_one.go, assume), which is when the pod may first attract
// others and when it takes the place of its own nomination.
func (q *Queue) DeleteNominatedPodIfExists(pod *v1.Pod) {
	if pod.Spec.NodeName != "" {
		q.memory.changed(change{event: framework.EventAssignedPodAdd, new: pod})
	}
	s := q.stripeOf(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	q.SchedulingQueue.DeleteNominatedPodIfExists(pod)
	was, known := s.nominated[pod.UID]
	if !known {
		return
	}
	if was.node == pod.Spec.NodeName {
		// If nothing comes of it the pod's nomination is set anew, and so followed.
		was.assumed = true
		s.nominated[pod.UID] = was
		return
	}
	delete(s.nominated, pod.UID)
	q.ended(was)
}

// follow notes that do may nominate the pod to a node. That it does is believed; that a
// nomination to another node has ended is not, as some updates leave it (backend/queue,
// UpdateNominatedPod) and a gated pod's is left too.
func (q *Queue) follow(pod *v1.Pod, node string, do func()) {
	s := q.stripeOf(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	was, known := s.nominated[pod.UID]
	if known && node != was.node && q.nominates(was.node, pod.UID) {
		node = was.node
	}
	if node == "" {
		delete(s.nominated, pod.UID)
	} else {
		s.nominated[pod.UID] = nomination{node: node, priority: corev1helpers.PodPriority(pod)}
	}
	if known && node != was.node {
		q.ended(was)
	}
}

func (q *Queue) nominates(node string, uid types.UID) bool {
	for _, pi := range q.NominatedPodsForNode(node) {
		if pi.GetPod().UID == uid {
			return true
		}
	}
	return false
}

// ended tells of a nomination that has ended. To a node that is not there, it counted for
// nobody.
func (q *Queue) ended(was nomination) {
	if _, err := q.memory.cfg.Nodes.Get(was.node); err == nil {
		q.memory.changed(change{outbid: &was.priority})
	}
}

func (q *Queue) stripeOf(pod *v1.Pod) *stripe {
	return &q.stripes[maphash.String(q.seed, string(pod.UID))%uint64(len(q.stripes))]
}
