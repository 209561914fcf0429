package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// observer keeps what the watches showed of one round, with the times it was seen.
type observer struct {
	timeline *timeline

	mu      sync.Mutex
	pods    map[types.UID]*podSeen
	nodes   map[string]*nodeSeen
	claims  map[string]*v1alpha1.NodeClaim // never forgotten within a round
	live    map[string]bool                // claims that exist
	events  map[types.UID]bool
	changed chan struct{}
}

type podSeen struct {
	name                                string
	created, unschedulable, bound, gone time.Time
	node                                string
}

type nodeSeen struct {
	registered, ready, tainted, gone time.Time
}

// observe watches pods of one namespace, nodes, claims and events until ctx ends, in a
// goroutine of wg's.
func observe(ctx context.Context, wg *sync.WaitGroup, config *rest.Config, scheme *runtime.Scheme, namespace string, t *timeline) (*observer, error) {
	o := &observer{timeline: t}
	o.reset()
	c, err := cache.New(config, cache.Options{Scheme: scheme, ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}: {Namespaces: map[string]cache.Config{namespace: {}}},
	}})
	if err != nil {
		return nil, err
	}
	for _, w := range []struct {
		object client.Object
		handle func(object any, gone bool)
	}{
		{&corev1.Pod{}, func(x any, gone bool) { o.pod(x.(*corev1.Pod), gone) }},
		{&corev1.Node{}, func(x any, gone bool) { o.node(x.(*corev1.Node), gone) }},
		{&v1alpha1.NodeClaim{}, func(x any, gone bool) { o.claim(x.(*v1alpha1.NodeClaim), gone) }},
		{&eventsv1.Event{}, func(x any, _ bool) { o.event(x.(*eventsv1.Event)) }},
	} {
		informer, err := c.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, err
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(x any) { w.handle(x, false) },
			UpdateFunc: func(_, x any) { w.handle(x, false) },
			DeleteFunc: func(x any) {
				if tombstone, ok := x.(toolscache.DeletedFinalStateUnknown); ok {
					x = tombstone.Obj
				}
				w.handle(x, true)
			},
		}); err != nil {
			return nil, err
		}
	}
	wg.Go(func() { _ = c.Start(ctx) }) // it ends with ctx
	if !c.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("watches did not start: %w", context.Cause(ctx))
	}
	return o, nil
}

func (o *observer) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pods, o.nodes = map[types.UID]*podSeen{}, map[string]*nodeSeen{}
	o.claims, o.live = map[string]*v1alpha1.NodeClaim{}, map[string]bool{}
	o.events = map[types.UID]bool{}
	o.changed = make(chan struct{})
}

// note runs f under the lock and wakes whoever waits.
func (o *observer) note(f func(now time.Time)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(time.Now())
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) pod(pod *corev1.Pod, gone bool) {
	o.note(func(now time.Time) {
		p := o.pods[pod.UID]
		if p == nil {
			if gone {
				return
			}
			p = &podSeen{name: pod.Name, created: now}
			if o.pods[pod.UID] = p; len(o.pods) == 1 {
				o.timeline.start(now)
				o.timeline.say("first pod created")
			}
		}
		unschedulable := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
		})
		if unschedulable && p.unschedulable.IsZero() {
			p.unschedulable = now
			if n := o.count(func(p *podSeen) bool { return !p.unschedulable.IsZero() }); n == 1 || n%10 == 0 {
				o.timeline.say("%d pods found unschedulable", n)
			}
		}
		if pod.Spec.NodeName != "" && p.bound.IsZero() {
			p.bound, p.node = now, pod.Spec.NodeName
			o.timeline.tally("pods bound to "+p.node, func(n int) string {
				return fmt.Sprintf("%d pods bound to %s, %s", n, p.node, o.reservedHere(p.node))
			})
		}
		if gone {
			p.gone = now
		}
	})
}

func (o *observer) count(match func(*podSeen) bool) (n int) {
	for _, p := range o.pods {
		if match(p) {
			n++
		}
	}
	return n
}

// reservedHere says how many pods on a node have it reserved.
func (o *observer) reservedHere(node string) string {
	reserved, total := 0, 0
	for uid, p := range o.pods {
		if p.node == node {
			total++
			if c := o.claimOf(uid); c != nil && c.Status.NodeName == node {
				reserved++
			}
		}
	}
	if reserved == total {
		return "each reserved for it"
	}
	return fmt.Sprintf("only %d reserved for it", reserved)
}

// claimOf finds the claim that reserves a place for a pod.
func (o *observer) claimOf(uid types.UID) *v1alpha1.NodeClaim {
	for _, c := range o.claims {
		if slices.ContainsFunc(c.HeldPods(), func(p v1alpha1.ReservedPod) bool { return p.UID == uid }) {
			return c
		}
	}
	return nil
}

func (o *observer) node(node *corev1.Node, gone bool) {
	o.note(func(now time.Time) {
		n := o.nodes[node.Name]
		if n == nil {
			if gone {
				return
			}
			n = &nodeSeen{registered: now}
			o.nodes[node.Name] = n
			o.timeline.say("node %s registered (%s, %s)", node.Name, node.Labels[corev1.LabelInstanceTypeStable], node.Labels[corev1.LabelTopologyZone])
		}
		if n.ready.IsZero() && isReady(node) {
			n.ready = now
			o.timeline.say("node %s ready", node.Name)
		}
		if n.tainted.IsZero() && slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.DisruptedTaintKey }) {
			n.tainted = now
			o.timeline.say("node %s cordoned", node.Name)
		}
		if gone && n.gone.IsZero() {
			n.gone = now
			o.timeline.say("node %s gone", node.Name)
		}
	})
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}) && !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
}

func (o *observer) claim(claim *v1alpha1.NodeClaim, gone bool) {
	o.note(func(time.Time) {
		if gone {
			delete(o.live, claim.Name)
			return
		}
		if before := o.claims[claim.Name]; claim.Status.NodeName != "" && (before == nil || before.Status.NodeName == "") {
			s := claim.Status
			o.timeline.say("instance %s: %s in %s, %s, %s per hour, node name %s, for %d pods",
				s.InstanceID, s.InstanceType, s.Zone, s.CapacityType, s.PricePerHour, s.NodeName, len(claim.HeldPods()))
		}
		o.claims[claim.Name], o.live[claim.Name] = claim, true
	})
}

// event prints what the daemons tell of nodes; what they tell of pods is told by the watches.
func (o *observer) event(e *eventsv1.Event) {
	o.note(func(time.Time) {
		if o.events[e.UID] || e.Regarding.Kind != "Node" {
			return
		}
		o.events[e.UID] = true
		if e.Reason == "EmptyTTLStarted" || e.Reason == "Terminating" {
			o.timeline.say("node %s: %s: %s", e.Regarding.Name, e.Reason, e.Note)
		}
	})
}

// wait returns when the condition holds; it is asked under the lock whenever something was seen.
func (o *observer) wait(ctx context.Context, what string, done func() bool) error {
	for {
		o.mu.Lock()
		ok, changed := done(), o.changed
		o.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond): // some conditions look elsewhere
		case <-ctx.Done():
			return fmt.Errorf("did not happen in time: %s", what)
		}
	}
}
