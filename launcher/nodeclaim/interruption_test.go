package nodeclaim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func spot(c *v1alpha1.NodeClaim) {
	launched(c)
	c.Status.CapacityType = "spot"
}

// notice is one of a kind about instance i-a, as of now.
func (w *world) notice(kind cloud.NoticeKind, ends time.Duration) cloud.Notice {
	n := cloud.Notice{Kind: kind, Instances: []string{"i-a"}, At: w.clock.Now()}
	if ends > 0 {
		n.EndsAt = n.At.Add(ends)
	}
	return n
}

func (w *world) heed(n cloud.Notice) bool {
	w.t.Helper()
	heeded, err := w.interrupt.heed(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return heeded
}

func TestNoticesMarkTheNode(t *testing.T) {
	protect := func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"} }
	key := offering.Key{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "spot"}
	for _, tt := range []struct {
		name        string
		kind        cloud.NoticeKind
		ends        time.Duration
		pod         func(*corev1.Pod)
		interrupted string
		unavailable []offering.Key
	}{
		{"spot interruption", cloud.SpotInterruption, 2 * time.Minute, nil, "True SpotInterruption", []offering.Key{key}},
		{"spot interruption of a protected pod", cloud.SpotInterruption, 2 * time.Minute, protect, "True SpotInterruption", []offering.Key{key}},
		{"rebalance recommendation", cloud.RebalanceRecommendation, 0, nil, "True RebalanceRecommendation", []offering.Key{key}},
		{"rebalance recommendation for a protected pod", cloud.RebalanceRecommendation, 0, protect, "", []offering.Key{key}},
		{"reservation interruption", cloud.ReservationInterruption, 2 * time.Minute, nil, "True ReservationInterruption", []offering.Key{key}},
		{"scheduled change", cloud.ScheduledChange, 24 * time.Hour, nil, "True ScheduledChange", nil},
		{"state change", cloud.StateChange, time.Second, nil, "True StateChange", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newClaim(spot), newNode(nil), newPod("web", tt.pod))
			if !w.heed(w.notice(tt.kind, tt.ends)) {
				t.Error("the notice was not heeded")
			}
			claim := w.claim()
			if got := condition(claim, v1alpha1.ConditionInterrupted); got != tt.interrupted {
				t.Errorf("Interrupted is %q, want %q", got, tt.interrupted)
			}
			if tainted := hasTaint(w.node("node-a"), &disruptedTaint); tainted != (tt.interrupted != "") {
				t.Errorf("tainted: %v", tainted)
			}
			if ends := claim.Status.EndsAt; (ends != nil) != (tt.ends > 0) || ends != nil && !ends.Time.Equal(w.clock.Now().Add(tt.ends)) {
				t.Errorf("ends at %v, want in %v", ends, tt.ends)
			}
			if diff := cmp.Diff(tt.unavailable, w.catalog.unavailable); diff != "" {
				t.Errorf("unavailable: %s", diff)
			}
			if w.events.count("NodeClaim "+string(tt.kind)) != 1 {
				t.Errorf("events %v", w.events.events)
			}
		})
	}
}

func TestNoticesThatCallForNothing(t *testing.T) {
	w := newWorld(t, newClaim(spot), newNode(nil))
	n := w.notice(cloud.SpotInterruption, time.Minute)
	n.Instances = []string{"i-stranger"}
	if w.heed(n) {
		t.Error("a stranger's instance was heeded")
	}
	w.delete(w.claim())
	if w.heed(w.notice(cloud.StateChange, time.Second)) {
		t.Error("the end that was asked for was heeded")
	}
	if got := condition(w.claim(), v1alpha1.ConditionInterrupted); got != "" {
		t.Errorf("Interrupted is %q", got)
	}
}

// TestEarliestEndCounts: notices come in any order, and again.
func TestEarliestEndCounts(t *testing.T) {
	w := newWorld(t, newClaim(spot), newNode(nil))
	w.heed(w.notice(cloud.RebalanceRecommendation, 0))
	w.heed(w.notice(cloud.SpotInterruption, 2*time.Minute))
	w.heed(w.notice(cloud.SpotInterruption, 2*time.Minute))
	w.heed(w.notice(cloud.SpotInterruption, 3*time.Minute))
	if got, want := w.claim().Status.EndsAt.Time, w.clock.Now().Add(2*time.Minute); !got.Equal(want) {
		t.Errorf("ends at %v, want %v", got, want)
	}
	if got := condition(w.claim(), v1alpha1.ConditionInterrupted); got != "True SpotInterruption" {
		t.Errorf("Interrupted is %q", got)
	}
	if n := w.events.count("NodeClaim SpotInterruption"); n > 2 {
		t.Errorf("%d events", n)
	}
}

// replaced says on the claim that there is room for its pods' successors.
func (w *world) replaced() {
	w.t.Helper()
	claim := w.claim()
	claim.Status.Conditions = append(claim.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReplaced, Status: metav1.ConditionTrue})
	if err := w.client.Status().Update(w.t.Context(), claim); err != nil {
		w.t.Fatal(err)
	}
}

// TestInterruptedNodeIsKeptForItsPods: what must not be disrupted is not, as long as the cloud
// leaves the node alone.
func TestInterruptedNodeIsKeptForItsPods(t *testing.T) {
	w := newWorld(t, newClaim(spot), newNode(nil), newPod("job", protected))
	w.heed(w.notice(cloud.ScheduledChange, 14*24*time.Hour))
	w.replaced()
	for range 3 {
		if wait := w.reconcile(w.interrupt, "a").RequeueAfter; wait != lookAtProtection || w.claim().DeletionTimestamp != nil {
			t.Fatalf("waits %s, deletion timestamp %v", wait, w.claim().DeletionTimestamp)
		}
		w.clock.Step(lookAtProtection)
	}
	w.delete(newPod("job", nil))
	w.reconcile(w.interrupt, "a")
	if w.claim().DeletionTimestamp == nil {
		t.Error("nothing is in the way, and it is not drained")
	}
}

func TestInterruptedClaimIsDrainedInTime(t *testing.T) {
	grace := func(seconds int64) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = new(seconds) }
	}
	for _, tt := range []struct {
		name     string
		kind     cloud.NoticeKind
		ends     time.Duration
		replaced bool
		pods     []client.Object
		deleted  bool
		wait     time.Duration
	}{
		{"replaced", cloud.SpotInterruption, 2 * time.Minute, true, nil, true, 0},
		{"a pod needs 30 s", cloud.SpotInterruption, 2 * time.Minute, false, []client.Object{newPod("web", grace(30))}, false, 80 * time.Second},
		{"a pod needs 10 min", cloud.SpotInterruption, 2 * time.Minute, false, []client.Object{newPod("web", grace(600))}, false, time.Minute},
		{"nobody needs anything", cloud.SpotInterruption, 2 * time.Minute, false, nil, false, 110 * time.Second},
		{"it is over", cloud.StateChange, time.Second, false, nil, true, 0},
		{"no end is known", cloud.RebalanceRecommendation, 0, false, nil, false, 0},
		{"no end is known, and it is replaced", cloud.RebalanceRecommendation, 0, true, nil, true, 0},
		{"replaced, and a pod must not be disrupted before it has to", cloud.SpotInterruption, time.Minute, true, []client.Object{newPod("job", protected)}, false, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, append(tt.pods, newClaim(spot), newNode(nil))...)
			w.heed(w.notice(tt.kind, tt.ends))
			if tt.replaced {
				w.replaced()
			}
			result := w.reconcile(w.interrupt, "a")
			if deleted := w.claim().DeletionTimestamp != nil; deleted != tt.deleted {
				t.Errorf("deleted: %v", deleted)
			}
			if result.RequeueAfter != tt.wait {
				t.Errorf("looks again in %v, want %v", result.RequeueAfter, tt.wait)
			}
			if tt.wait > 0 {
				w.clock.Step(tt.wait)
				w.reconcile(w.interrupt, "a")
				if w.claim().DeletionTimestamp == nil {
					t.Error("its time is over, and it is not drained")
				}
			}
		})
	}
}

// TestDrainEndsWithTheInstance: whoever protects a pod, the cloud takes the node.
func TestDrainEndsWithTheInstance(t *testing.T) {
	w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) {
		spot(c)
		c.Status.EndsAt = new(metav1.NewTime(time.Now().Add(time.Minute).Truncate(time.Second)))
	}),
		newNode(func(n *corev1.Node) { n.Finalizers = []string{v1alpha1.TerminationFinalizer} }),
		newPod("web", func(p *corev1.Pod) {
			p.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
			p.Finalizers = []string{"x/y"}
		}))
	w.cloud.add(cloud.Instance{ID: "i-a", ClaimUID: "uid-a", LaunchTime: w.clock.Now().Add(-time.Hour)})
	w.delete(w.claim())
	w.reconcile(w.end, "a")
	if p := get(t, w.client, newPod("web", nil)); p.DeletionTimestamp != nil {
		t.Error("the pod was told to go a minute before the end, it takes 30 s")
	}
	w.clock.Step(31 * time.Second)
	w.reconcile(w.end, "a")
	if p := get(t, w.client, newPod("web", nil)); p.DeletionTimestamp == nil {
		t.Error("the pod was not told to go in time")
	}
	w.clock.Step(30 * time.Second)
	w.reconcile(w.end, "a")
	w.reconcile(w.end, "a")
	w.gone()
}

// fakeQueue hands out its messages, ten at a time, and keeps those in flight.
type fakeQueue struct {
	mu       sync.Mutex
	waiting  []cloud.Message
	flying   map[string]inFlight
	failures int // of the next calls of Receive
}

// inFlight is a message that comes again when it is not deleted.
type inFlight struct {
	cloud.Message
	again time.Time
}

func newFakeQueue(messages ...cloud.Message) *fakeQueue {
	for i := range messages {
		messages[i].Receipt = fmt.Sprint(i)
	}
	return &fakeQueue{waiting: messages, flying: map[string]inFlight{}}
}

func (q *fakeQueue) Receive(ctx context.Context) ([]cloud.Message, error) {
	for {
		q.mu.Lock()
		if q.failures > 0 {
			q.failures--
			q.mu.Unlock()
			return nil, errors.New("the cloud is away")
		}
		n := min(10, len(q.waiting))
		out := slices.Clone(q.waiting[:n])
		q.waiting = q.waiting[n:]
		for _, m := range out {
			q.flying[m.Receipt] = inFlight{m, time.Now().Add(15 * time.Second)}
		}
		q.mu.Unlock()
		if n > 0 {
			return out, nil
		}
		select {
		case <-time.After(20 * time.Second):
			q.mu.Lock()
			for receipt, m := range q.flying {
				if time.Now().After(m.again) {
					q.waiting = append(q.waiting, m.Message)
					delete(q.flying, receipt)
				}
			}
			q.mu.Unlock()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) Delete(_ context.Context, receipts []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range receipts {
		delete(q.flying, r)
	}
	return nil
}

func (q *fakeQueue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.flying)
}

// TestQueueIsNotHeldUp: among bad messages, failures of the queue and of single notices, all
// that can be heeded are, and what fails comes again.
func TestQueueIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := []cloud.Message{
			{Err: fmt.Errorf("%w: {", cloud.ErrMalformed)},
			{Err: fmt.Errorf("%w: a test", cloud.ErrForeign)},
			{Notice: cloud.Notice{Kind: cloud.SpotInterruption, Instances: []string{"stuck"}, At: time.Now()}},
			{Notice: cloud.Notice{Kind: cloud.SpotInterruption, Instances: []string{"fails once"}, At: time.Now()}},
			{Notice: cloud.Notice{Kind: cloud.StateChange, At: time.Now()}},
		}
		for i := range 40 {
			messages = append(messages, cloud.Message{Notice: cloud.Notice{Kind: cloud.SpotInterruption, Instances: []string{fmt.Sprint(i)}, At: time.Now()}})
		}
		q := newFakeQueue(messages...)
		q.failures = 2
		m, err := newMetrics(prometheus.NewRegistry(), fake.NewClientBuilder().Build())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var heeded []string
		failed := false
		reader := &noticeReader{
			notices: q, clock: clock.RealClock{}, metrics: m, log: log.Log,
			heed: func(ctx context.Context, n cloud.Notice) (bool, error) {
				if len(n.Instances) == 0 {
					return false, nil
				}
				mu.Lock()
				defer mu.Unlock()
				switch id := n.Instances[0]; {
				case id == "stuck":
					mu.Unlock()
					<-ctx.Done()
					mu.Lock()
					return false, ctx.Err()
				case id == "fails once" && !failed:
					failed = true
					return false, errors.New("conflict")
				default:
					heeded = append(heeded, id)
					return true, nil
				}
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = reader.Start(ctx) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mu.Lock()
		early := len(heeded)
		mu.Unlock()
		if early != 40 {
			t.Errorf("%d notices heeded in 5 s, want 40", early)
		}
		time.Sleep(time.Minute)
		cancel()
		<-done
		if !slices.Contains(heeded, "fails once") {
			t.Errorf("what failed did not come again: %s", strings.Join(heeded, " "))
		}
		if n := q.left(); n != 1 {
			t.Errorf("%d messages left, want the one that cannot be heeded", n)
		}
		for outcome, want := range map[[2]string]float64{
			{"none", outcomeMalformed}: 1, {"none", outcomeForeign}: 1, {"StateChange", outcomeIgnored}: 1, {"SpotInterruption", outcomeHeeded}: 41,
		} {
			if got := testutil.ToFloat64(m.notices.WithLabelValues(outcome[0], outcome[1])); got != want {
				t.Errorf("%v: %v messages counted, want %v", outcome, got, want)
			}
		}
		if got := testutil.ToFloat64(m.noticeErrors); got != 2 {
			t.Errorf("%v failures of the queue counted, want 2", got)
		}
	})
}

// TestCapacityBlockEnds: a node in a capacity block is replaced ten minutes before EC2 begins to
// terminate what runs there, which is half an hour before the block's end; not before that, not
// where the block was extended, and not where its reservation is of another type.
func TestCapacityBlockEnds(t *testing.T) {
	for _, tt := range []struct {
		name, kind, instanceType string
		end                      time.Duration // from now on
		again                    time.Duration // is looked at it
		interrupted              string
		endsAt                   time.Duration
	}{
		{"far from its end", v1alpha1.ReservationTypeCapacityBlock, "p5.48xlarge", 24 * time.Hour, 5 * time.Minute, "", 0},
		{"near", v1alpha1.ReservationTypeCapacityBlock, "p5.48xlarge", 42 * time.Minute, 2 * time.Minute, "", 0},
		{"at its end", v1alpha1.ReservationTypeCapacityBlock, "p5.48xlarge", 40 * time.Minute, 0, "True CapacityBlockEnd", 10 * time.Minute},
		{"an UltraServer's", v1alpha1.ReservationTypeCapacityBlock, "p6e-gb200.36xlarge", 70 * time.Minute, 0, "True CapacityBlockEnd", 10 * time.Minute},
		{"no block", v1alpha1.ReservationTypeDefault, "p5.48xlarge", 10 * time.Minute, 5 * time.Minute, "", 0},
		{"without an end", v1alpha1.ReservationTypeDefault, "p5.48xlarge", 0, 5 * time.Minute, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "blocks"}}
			r := v1alpha1.CapacityReservation{ID: "cr-1", InstanceType: tt.instanceType, Type: tt.kind}
			w := newWorld(t, newClaim(func(c *v1alpha1.NodeClaim) {
				launched(c)
				c.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: "blocks"}
				c.Status.CapacityType, c.Status.ReservationID = v1alpha1.CapacityTypeReserved, "cr-1"
			}), newNode(nil))
			if tt.end > 0 {
				r.EndTime = &metav1.Time{Time: w.clock.Now().Add(tt.end)}
			}
			class.Status.CapacityReservations = []v1alpha1.CapacityReservation{r}
			w.create(class)
			result := w.reconcile(w.interrupt, "a")
			claim := w.claim()
			if got := condition(claim, v1alpha1.ConditionInterrupted); got != tt.interrupted || result.RequeueAfter != tt.again {
				t.Errorf("Interrupted is %q, looks again after %v; want %q and %v", got, result.RequeueAfter, tt.interrupted, tt.again)
			}
			if tainted := hasTaint(w.node("node-a"), &disruptedTaint); tainted != (tt.interrupted != "") {
				t.Errorf("tainted: %t", tainted)
			}
			if tt.endsAt > 0 && (claim.Status.EndsAt == nil || !claim.Status.EndsAt.Time.Equal(w.clock.Now().Add(tt.endsAt))) {
				t.Errorf("ends at %v, want in %v", claim.Status.EndsAt, tt.endsAt)
			}
		})
	}
}
