package allocate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
)

// Successors: where the cloud takes a node back, or the slow loop replaces one that has
// expired or drifted, or removes one that is underutilized, the pods on it will be followed by
// others of the same owners, alike. Before the node is drained, room for those is found or bought.
// They are planned for as expected pods (lookahead.go), with the pods on the node thought
// away: on nodes that exist, else on new ones, where they have seats. Once all those nodes
// are ready the claim counts as Replaced, and its drain may begin.
//
// Pods without an owner have no successor, and those of a group come back with their group.
//
// Nodes that are removed to save money are planned for by themselves, all that are removed
// together at once, and nothing is bought that costs more than they may (sparing.go).

const (
	// gatherNotices is how long the first interrupted node waits for others, to be planned
	// for with them.
	gatherNotices = 50 * time.Millisecond
	// gatherSubstitutes is how long a node of a pool of a fixed size waits for the one that is
	// launched in its place: its pods are to go there, not to a node bought for them.
	gatherSubstitutes = 5 * time.Second
	// gatherMoves is how long nodes that are removed to save money wait for the last of those
	// that go with them.
	gatherMoves = 500 * time.Millisecond
	// tellAgain is after how long a claim is told again that it is replaced.
	tellAgain = 5 * time.Second
)

// succession is what is done for the pods of one interrupted claim.
type succession struct {
	claim *v1alpha1.NodeClaim
	// kin of its pods; their seats are kept until the claim is gone.
	kin sets.Set[kin]
	// on is where its successors have room, by their expected pods: a claim's name, or "" on
	// a node of others.
	on map[types.UID]string
	// begun: what an earlier leader did for it is known.
	begun bool
	// planning: the planner is at work for it.
	planning bool
	// settled: all successors that can be told have room.
	settled bool
	// failures in a row, and until when to have patience.
	failures  int
	notBefore time.Time
	toldAt    time.Time // that it is replaced
}

// succeeded is what became of a plan for successors.
type succeeded struct {
	of map[types.UID]string // claims, by the expected pods that were planned for
	on map[types.UID]string // where they have room; those without are missing
	// why some have none.
	reasons []string
}

// replacing takes in a version of a claim that is being replaced.
func (l *loop) replacing(claim *v1alpha1.NodeClaim) {
	s := l.successions[claim.Name]
	if s == nil {
		wait := gatherNotices
		if pool := l.pool(claim.Spec.NodePool); pool != nil && pool.Spec.Replicas != nil {
			wait = gatherSubstitutes
		}
		s = &succession{kin: sets.New[kin](), on: map[types.UID]string{}, notBefore: time.Now().Add(wait)}
		l.successions[claim.Name] = s
		if _, sparing := claim.MaxReplacement(); sparing {
			s.notBefore = time.Now().Add(gatherMoves)
			l.awaitMoves(s.notBefore)
		}
	}
	s.claim = claim
}

// forgetSuccession: the claim is gone, and its pods with it, or both stay after all.
func (l *loop) forgetSuccession(claim string) {
	s := l.successions[claim]
	if s == nil {
		return
	}
	for k := range s.kin {
		if x := l.expected[k]; x != nil {
			x.last = time.Now()
		}
	}
	delete(l.successions, claim)
}

// awaited tells whether pods of a kin are still to be drained somewhere.
func (l *loop) awaited(k kin) bool {
	for _, s := range l.successions {
		if s.kin.Has(k) {
			return true
		}
	}
	return false
}

// open tells whether room is still to be found, or the drain to be let begin.
func (s *succession) open() bool {
	return s.claim.DeletionTimestamp == nil && !meta.IsStatusConditionTrue(s.claim.Status.Conditions, v1alpha1.ConditionReplaced)
}

// succeed has room planned for successors, says which claims are replaced, and returns when
// to look again.
func (l *loop) succeed(now time.Time) (next time.Time) {
	var due []*succession
	for _, name := range slices.Sorted(maps.Keys(l.successions)) {
		s := l.successions[name]
		if !s.open() {
			continue
		}
		l.inherit(s)
		l.checkSuccession(s, now)
		switch {
		case s.settled && l.ready(s):
			if again := s.toldAt.Add(tellAgain); s.toldAt.IsZero() || !now.Before(again) {
				s.toldAt = now
				l.submit(job{replaced: &replacedClaim{name, metav1.ConditionTrue, "RoomReady", "there is room for the pods that will follow"}})
			}
			next = earlier(next, s.toldAt.Add(tellAgain))
		case s.settled, s.planning: // the claims it waits for, or the plan, will be heard of
		case now.Before(s.notBefore):
			next = earlier(next, s.notBefore)
		default:
			due = append(due, s)
		}
	}
	if len(due) > 0 && !l.planning {
		l.planSuccessors(ofOneKind(due), now)
	}
	return next
}

// inherit takes over what an earlier leader has bought for a succession.
func (l *loop) inherit(s *succession) {
	if s.begun {
		return
	}
	s.begun = true
	for name, r := range l.claims {
		if !r.leaving && slices.Contains(r.claim.Spec.Replaces, s.claim.Name) {
			s.on[types.UID(name)], s.settled = name, true
		}
	}
}

// checkSuccession has room planned again for those whose claims have ended.
func (l *loop) checkSuccession(s *succession, now time.Time) {
	lost := false
	for uid, claim := range s.on {
		if claim != "" && l.live(claim) == nil {
			delete(s.on, uid)
			lost = true
		}
	}
	if _, sparing := s.claim.MaxReplacement(); lost && sparing {
		l.noRoom(s, now, "a node that its pods were to move to is gone")
		return
	}
	if lost && s.settled {
		s.settled = false
		s.failures++
		s.notBefore = now.Add(backoff(s.failures))
	}
}

// ready tells whether all nodes that a succession waits for are.
func (l *loop) ready(s *succession) bool {
	for _, claim := range s.on {
		if claim != "" && !meta.IsStatusConditionTrue(l.claims[claim].claim.Status.Conditions, v1alpha1.ConditionInitialized) {
			return false
		}
	}
	return true
}

// planSuccessors hands the successors without room to the planner.
func (l *loop) planSuccessors(due []*succession, now time.Time) {
	claims, leaving := l.held()
	b := &batch{
		claims: claims, leaving: leaving, standIns: l.standIns(), toCome: map[types.UID]kin{}, succeeds: map[types.UID]string{}, below: map[string]float64{},
	}
	for _, s := range due {
		pods, stuck, err := l.successorsOf(s.claim)
		if err != nil {
			s.notBefore = now.Add(backoff(1))
			l.log.Error(err, "cannot tell which pods are on an interrupted node", "nodeclaim", s.claim.Name)
			continue
		}
		if below, sparing := s.claim.MaxReplacement(); sparing {
			if stuck = cmp.Or(stuck, strangers(pods)); stuck != "" {
				l.noRoom(s, now, stuck)
				continue
			}
			b.below[s.claim.Name] = below
		}
		for _, pod := range pods {
			k, ok := kinOf(pod)
			if _, placed := s.on[pod.UID]; !ok || placed {
				continue
			}
			s.kin.Insert(k)
			if l.expected[k] == nil {
				l.expected[k] = &expectation{sample: pod, seats: map[string]int{}}
			}
			l.expected[k].last = now
			b.pods, b.toCome[pod.UID], b.succeeds[pod.UID] = append(b.pods, pod), k, s.claim.Name
			s.planning = true
		}
		s.settled = !s.planning
		l.log.Info("successors to be planned for", "nodeclaim", s.claim.Name, "node", s.claim.Status.NodeName, "pods", len(pods))
	}
	if len(b.pods) > 0 {
		l.planning, l.ended = true, sets.New[types.UID]()
		l.submit(job{batch: b})
	}
}

// successorSuffix tells a successor from the pod that it follows.
const successorSuffix = "-successor"

// successorsOf makes the expected pods that follow those on a node; stuck names one that
// will have none.
func (l *loop) successorsOf(claim *v1alpha1.NodeClaim) (successors []*corev1.Pod, stuck string, err error) {
	if claim.Status.NodeName == "" {
		return nil, "", nil
	}
	pods, err := cluster.PodsOn(l.ctx, l.cfg.Client, claim.Status.NodeName)
	if err != nil {
		return nil, "", fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || cluster.IsFinished(pod) || cluster.IsDaemonPod(pod) {
			continue
		}
		if metav1.GetControllerOfNoCopy(pod) == nil || cluster.GroupOf(pod) != "" || l.cfg.Engines[pod.Spec.SchedulerName] == nil {
			stuck = "pod " + pod.Namespace + "/" + pod.Name + " cannot be moved"
			continue
		}
		pod.UID, pod.Name = pod.UID+"/successor", pod.Name+successorSuffix
		pod.Spec.NodeName, pod.Status = "", corev1.PodStatus{}
		successors = append(successors, pod)
	}
	return successors, stuck, nil
}

// succeededBy takes in a plan for successors.
func (l *loop) succeededBy(r *succeeded, now time.Time) {
	without := sets.New[string]()
	for name := range sets.New(slices.Collect(maps.Values(r.of))...) {
		if s := l.successions[name]; s != nil {
			s.planning, s.settled = false, true
		}
	}
	for uid, name := range r.of {
		s := l.successions[name]
		if s == nil {
			continue
		}
		if claim, placed := r.on[uid]; placed {
			s.on[uid] = claim
		} else {
			without.Insert(name)
		}
	}
	for name := range without {
		l.noRoom(l.successions[name], now, "no room for some of the pods that will follow: "+strings.Join(r.reasons, "; "))
	}
}

// noRoom has a claim say that successors have no room. Where it has to go at any price they
// are planned for again later.
func (l *loop) noRoom(s *succession, now time.Time, why string) {
	s.settled = false
	s.failures++
	s.notBefore = now.Add(backoff(s.failures))
	if len(why) > longestReason {
		why = strings.ToValidUTF8(why[:longestReason], "")
	}
	l.log.Info("successors have no room", "nodeclaim", s.claim.Name, "reason", why, "again", backoff(s.failures).String())
	l.submit(job{replaced: &replacedClaim{s.claim.Name, metav1.ConditionFalse, "NoRoom", why}})
}
