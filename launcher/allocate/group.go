package allocate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// ErrGroup is wrapped by what is wrong with what a pod says of its group.
var ErrGroup = errors.New("cannot be planned for with its group")

// gang is what a group of pods asks for.
type gang struct {
	min   int  // pods that start together or not at all
	zonal bool // all in one zone
}

// gangOf reads what the group of a pod asks for. A PodGroup that wants neither a minimum
// nor a zone is none to us.
func (l *loop) gangOf(pod *corev1.Pod) (gang, error) {
	var g gang
	var err error
	if s := pod.Spec.SchedulingGroup; s != nil && s.PodGroupName != nil {
		g, err = l.podGroup(types.NamespacedName{Namespace: pod.Namespace, Name: *s.PodGroupName})
	} else {
		g, err = labelledGang(l.latest(pod))
	}
	if err != nil {
		return gang{}, fmt.Errorf("%w: %w", ErrGroup, err)
	}
	return g, nil
}

// latest is a pod as the cache shows it, unless that is behind: labels may have been put right.
func (l *loop) latest(pod *corev1.Pod) *corev1.Pod {
	var seen corev1.Pod
	err := l.cfg.Client.Get(l.ctx, client.ObjectKeyFromObject(pod), &seen, client.UnsafeDisableDeepCopy)
	if err != nil || seen.UID != pod.UID || older(&seen, pod) {
		return pod
	}
	return &seen
}

// renew takes in a newer version of a pod. Where it asks for something else of its group, the
// group is looked at again.
func (l *loop) renew(e *entry, pod *corev1.Pod, now time.Time) {
	if older(pod, e.pod) || cluster.GroupOf(pod) != cluster.GroupOf(e.pod) {
		return
	}
	changed := asksOf(pod) != asksOf(e.pod)
	e.pod = pod
	switch {
	case !changed || e.group == nil:
	case e.Phase == Unlaunchable && !now.Before(e.notBefore):
		l.wait(e, now)
	default:
		l.regather(e.group.name, now)
	}
}

// asksOf is what labelledGang reads, unread.
func asksOf(pod *corev1.Pod) [3]string {
	return [3]string{
		pod.Labels[v1alpha1.LabelPodGroupMin], pod.Annotations[v1alpha1.LabelPodGroupMin], pod.Annotations[v1alpha1.PodGroupTopologyAnnotation],
	}
}

func (l *loop) podGroup(key types.NamespacedName) (gang, error) {
	var pg schedulingv1alpha2.PodGroup
	err := l.cfg.Client.Get(l.ctx, key, &pg)
	switch {
	case apierrors.IsNotFound(err):
		return gang{}, fmt.Errorf("there is no PodGroup %s", key)
	case meta.IsNoMatchError(err):
		return gang{}, fmt.Errorf("the API server does not serve PodGroups of %s", schedulingv1alpha2.SchemeGroupVersion)
	case err != nil:
		return gang{}, fmt.Errorf("read PodGroup %s: %w", key, err)
	}
	var g gang
	if p := pg.Spec.SchedulingPolicy.Gang; p != nil {
		g.min = int(p.MinCount)
	}
	if c := pg.Spec.SchedulingConstraints; c != nil {
		for _, t := range c.Topology {
			if err := g.within(t.Key); err != nil {
				return gang{}, fmt.Errorf("PodGroup %s: %w", key, err)
			}
		}
	}
	return g, nil
}

// labelledGang reads the labels and annotations of a pod whose group is no PodGroup.
func labelledGang(pod *corev1.Pod) (g gang, err error) {
	least, labelled := pod.Labels[v1alpha1.LabelPodGroupMin]
	if !labelled {
		least = pod.Annotations[v1alpha1.LabelPodGroupMin]
	}
	if g.min, err = strconv.Atoi(least); err != nil || g.min < 1 {
		return gang{}, fmt.Errorf("%s is %q, which is no number of pods", v1alpha1.LabelPodGroupMin, least)
	}
	if key, ok := pod.Annotations[v1alpha1.PodGroupTopologyAnnotation]; ok {
		err = g.within(key)
	}
	return g, err
}

// within asks for one domain of a topology.
func (g *gang) within(key string) error {
	if key != corev1.LabelTopologyZone {
		return fmt.Errorf("the topology %q is not supported, only %s is", key, corev1.LabelTopologyZone)
	}
	g.zonal = true
	return nil
}

// group is the pods of one group that wait or that have reservations.
type group struct {
	name    string // as cluster.GroupOf has it
	members map[types.UID]*entry
	// formed: enough nodes are ready for the members to use theirs; see loop.form.
	formed bool
}

// join puts a pod into its group.
func (l *loop) join(e *entry) {
	name := cluster.GroupOf(e.pod)
	if name == "" {
		return
	}
	if l.groups[name] == nil {
		l.groups[name] = &group{name: name, members: map[types.UID]*entry{}}
	}
	e.group = l.groups[name]
	e.group.members[e.UID] = e
}

// leave takes a pod out of its group.
func (l *loop) leave(e *entry) {
	if e.group == nil {
		return
	}
	if delete(e.group.members, e.UID); len(e.group.members) == 0 {
		delete(l.groups, e.group.name)
	}
}

// sorted are the members that are so, oldest first.
func (g *group) sorted(so func(*entry) bool) []*entry {
	var some []*entry
	for e := range maps.Values(g.members) {
		if so(e) {
			some = append(some, e)
		}
	}
	slices.SortFunc(some, func(a, b *entry) int { return oldestFirst(a.pod, b.pod) })
	return some
}

func isWaiting(e *entry) bool  { return e.Phase == Waiting }
func isParked(e *entry) bool   { return e.Phase == Unlaunchable }
func isReserved(e *entry) bool { return e.Claim != "" }

// gang is what all the members ask for.
func (l *loop) gang(g *group) (asked gang, err error) {
	first := true
	for e := range maps.Values(g.members) {
		one, err := l.gangOf(e.pod)
		switch {
		case err != nil:
			return gang{}, err
		case first:
			asked, first = one, false
		case one != asked:
			return gang{}, fmt.Errorf("%w: pods of %s do not agree on its minimum and topology", ErrGroup, g.name)
		}
	}
	return asked, nil
}

// elsewhere counts the pods of a group that need nothing from here: they run, or fit where
// there is room. The latter is known of PodGroups alone, whose scheduler hands over all that
// do not fit at once, and binds none before all do.
func (l *loop) elsewhere(g *group) int {
	pods, err := cluster.PodsOfGroup(l.ctx, l.cfg.Client, g.name)
	if err != nil {
		l.log.Error(err, "count the pods of a group")
		return 0
	}
	n := 0
	for i := range pods {
		p := &pods[i]
		fits := p.Spec.NodeName != "" || p.Spec.SchedulingGroup != nil
		if fits && p.DeletionTimestamp == nil && !cluster.IsFinished(p) && g.members[p.UID] == nil {
			n++
		}
	}
	return n
}
