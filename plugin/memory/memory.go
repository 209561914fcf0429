// Package memory owns what the scheduler remembers of pods that fit on no node: a pod
// whose like was just refused is refused again in microseconds, instead of by another look
// at every node, until something happens that could change it.
//
// What makes two pods alike is in key.go, what makes a refusal be forgotten in change.go.
// The rule for both is that a pod is refused from memory only if every node would refuse
// it now. A refusal is kept only if plugins made it of which everything is known that they
// read, so that it is known what may change their minds.
//
// Order matters. A change is heard through the scheduling queue (Queue), which the
// scheduler tells of a change after its cache knows and before it decides which pods the
// change may help. The memory forgets in between: a pod that is refused from memory after
// the cache knows is in flight when the queue hears, which looks at it again as always.
// Changes that happen while a pod is being scheduled may be missing in the snapshot that
// it is judged by, so they count against its refusal too.
//
// The same changes tell when a pod that waits for a node of its own may run elsewhere
// (tries.go): as a refusal is forgotten, one pod of its kind is let through for a try.
package memory

import (
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	corelisters "k8s.io/client-go/listers/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"
)

const (
	// capacity is how many refusals are kept. Each is some KiB, whatever the cluster's size.
	capacity = 256
	// maxAge bounds the life of a refusal as the scheduling queue bounds the wait of an
	// unschedulable pod (backend/queue, DefaultPodMaxInUnschedulablePodsDuration): against
	// changes that nobody is told of.
	maxAge = 5 * time.Minute
	// maxChanges bounds the changes kept of a scheduling cycle. After more, its refusal is
	// not kept.
	maxChanges = 1000
	// maxLeaving is how many nodes' deletions are kept in mind before old ones are dropped: the
	// cache hears of one at once, and no scheduling cycle takes as long as maxAge.
	maxLeaving = 1000
)

// Config is what a Memory needs to know.
type Config struct {
	Clock      clock.PassiveClock
	Namespaces corelisters.NamespaceLister
	Nodes      corelisters.NodeLister
	// Extensions say upon which changes the plugins of a profile look at a pod again, by the
	// profile's name. Pods of other profiles are none of the memory's business.
	Extensions map[string][]fwk.EnqueueExtensions
	// Guard is the plugin that keeps pods out of promised room, and Freed counts the times
	// at which promised room became free.
	Guard string
	Freed func() uint64
	// Observe is told of everything that happens.
	Observe func(result Result, reason string)
}

// Result is what became of a pod or of a refusal.
type Result string

// The results that Observe is told of.
const (
	Hit       Result = "hit"
	Miss      Result = "miss"
	Recorded  Result = "recorded"
	Discarded Result = "discarded"
	Forgotten Result = "forgotten"
)

// Memory remembers refusals. Its methods are the scheduling loop's, in the order Begin,
// Recall, Record, End for each pod; changes come from anywhere, through a Queue.
type Memory struct {
	cfg   Config
	hints map[string]map[fwk.ClusterEvent][]hint // by profile

	mu       sync.Mutex
	refusals map[string]*refusal
	// labelled is how many refusals depend on all labels of their pods.
	labelled int
	uses     uint64

	// lines are the pods that wait for nodes of their own, by what they are like.
	lines  map[string]*line
	inLine map[types.UID]*line
	called chan struct{}

	// changes are those since Begin, as far as they fit.
	scheduling bool
	changes    []change
	overflown  bool
	freed      uint64
	// leaving are nodes whose deletion was told before the cache knew (eventhandlers.go,
	// deleteNodeFromCache), and when.
	leaving map[string]time.Time
}

// refusal is what is known of the pods of one key.
type refusal struct {
	// pod stands for all of them. It has no name and no UID.
	pod               *v1.Pod
	priority          int32
	rejectors         sets.Set[string]
	message           string
	nodes             int
	guarded, labelled bool
	freed             uint64
	recorded          time.Time
	used              uint64
}

// New returns an empty memory. The error is that of an extension.
func New(cfg Config) (*Memory, error) {
	hints := make(map[string]map[fwk.ClusterEvent][]hint, len(cfg.Extensions))
	for profile, extensions := range cfg.Extensions {
		var err error
		if hints[profile], err = hintsOf(extensions); err != nil {
			return nil, fmt.Errorf("profile %s: %w", profile, err)
		}
	}
	return &Memory{
		cfg: cfg, hints: hints, refusals: map[string]*refusal{}, leaving: map[string]time.Time{},
		lines: map[string]*line{}, inLine: map[types.UID]*line{}, called: make(chan struct{}, 1),
	}, nil
}

// Knows reports whether pods of a profile are remembered.
func (m *Memory) Knows(profile string) bool {
	_, known := m.hints[profile]
	return known
}

// Begin notes that the scheduler took up a pod. It must be called before the snapshot is
// taken that the pod is judged by.
func (m *Memory) Begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scheduling, m.overflown, m.freed = true, false, m.cfg.Freed()
	clear(m.changes)
	m.changes = m.changes[:0]
}

// Recall returns why no node takes the pod, if that is known of its like. Statuses of
// single nodes are not kept: their sum is the message.
func (m *Memory) Recall(pod *v1.Pod) (*framework.FitError, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.find(pod)
	if r == nil {
		m.cfg.Observe(Miss, "")
		return nil, false
	}
	m.cfg.Observe(Hit, "")
	return &framework.FitError{Pod: pod, NumAllNodes: r.nodes, Diagnosis: framework.Diagnosis{
		NodeToStatus: framework.NewDefaultNodeToStatus(),
		// The queue adds to the set.
		UnschedulablePlugins: r.rejectors.Clone(),
		PreFilterMsg:         r.message,
	}}, true
}

func (m *Memory) find(pod *v1.Pod) *refusal {
	if len(m.refusals) == 0 {
		return nil
	}
	r, ok := m.fresh(keyOf(pod))
	if !ok && m.labelled > 0 {
		r, ok = m.fresh(labelledKeyOf(pod, m.cfg.Namespaces))
	}
	if !ok {
		return nil
	}
	m.uses++
	r.used = m.uses
	return r
}

// fresh returns the refusal under a key unless it is out of date.
func (m *Memory) fresh(key string) (*refusal, bool) {
	r, ok := m.refusals[key]
	switch {
	case !ok:
		return nil, false
	case r.guarded && r.freed != m.cfg.Freed():
		m.forget(key, "PromisedRoomFreed")
		return nil, false
	case m.cfg.Clock.Since(r.recorded) >= maxAge:
		m.forget(key, "Age")
		return nil, false
	}
	return r, true
}

// End notes that the pod was judged. It need not follow upon every Begin.
func (m *Memory) End() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scheduling = false
}

// Record notes that no node takes the pod that was taken up last. nodes are those that it
// was judged by.
func (m *Memory) Record(pod *v1.Pod, fit *framework.FitError, nodes fwk.NodeInfoLister) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.scheduling {
		return
	}
	r, reason := m.refusalOf(pod, fit)
	if reason == "" {
		reason = m.doubt(r, nodes)
	}
	if reason != "" {
		m.cfg.Observe(Discarded, reason)
		return
	}
	key := keyOf(pod)
	if r.labelled {
		key = labelledKeyOf(pod, m.cfg.Namespaces)
	}
	m.remember(key, r)
	m.cfg.Observe(Recorded, "")
}

// doubt says why a refusal may be out of date already.
func (m *Memory) doubt(r *refusal, nodes fwk.NodeInfoLister) string {
	if m.overflown {
		return "TooManyChanges"
	}
	for name := range m.leaving {
		if _, err := nodes.Get(name); err == nil {
			return "NodeLeaving"
		}
		delete(m.leaving, name)
	}
	for _, c := range m.changes {
		if m.undoes(c, r) {
			return c.label()
		}
	}
	return ""
}

// remember stores a refusal, in place of the one that was of no use for longest.
func (m *Memory) remember(key string, r *refusal) {
	if old, ok := m.refusals[key]; ok {
		m.drop(key, old)
	}
	if len(m.refusals) >= capacity {
		var oldest string
		for k, other := range m.refusals {
			if oldest == "" || other.used < m.refusals[oldest].used {
				oldest = k
			}
		}
		m.forget(oldest, "Capacity")
	}
	m.uses++
	r.used = m.uses
	m.refusals[key] = r
	if r.labelled {
		m.labelled++
	}
}

func (m *Memory) forget(key, reason string) {
	m.drop(key, m.refusals[key])
	m.cfg.Observe(Forgotten, reason)
}

func (m *Memory) drop(key string, r *refusal) {
	delete(m.refusals, key)
	if r.labelled {
		m.labelled--
	}
}

// summary is the message of a refusal without what FitError adds to it.
func summary(fit *framework.FitError) string {
	prefix := fmt.Sprintf(framework.NoNodeAvailableMsg+": ", fit.NumAllNodes)
	return strings.TrimSuffix(strings.TrimPrefix(fit.Error(), prefix), ".")
}
