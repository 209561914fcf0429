package allocate

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// newLoop is a loop without goroutines, over a client that knows objects.
func newLoop(t *testing.T, objects ...client.Object) *loop {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	if err := cluster.Index(t.Context(), indexer{builder}); err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return &loop{
		cfg: Config{
			Client: builder.Build(), Idle: 100 * time.Millisecond, Longest: time.Second, MaxWaiting: 4,
			Engines: map[string]*fit.Engine{"slipway-scheduler": {}},
		},
		metrics: m, log: logr.Discard(), ctx: t.Context(),
		pods: map[types.UID]*entry{}, claims: map[string]*record{}, expected: map[kin]*expectation{},
		groups: map[string]*group{}, successions: map[string]*succession{}, ofOwner: map[types.UID]int{}, growing: sets.New[types.UID](), awaiting: sets.New[types.UID](), boots: boots{}, handBacks: handBacks{},
		watchers: map[chan []Reservation]<-chan struct{}{},
	}
}

type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, f client.IndexerFunc) error {
	i.WithIndex(o, field, f)
	return nil
}

func waiting(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.PodSpec{SchedulerName: "slipway-scheduler"},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func ownedBy(kind, name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: types.UID(name), Controller: new(true)}}
	}
}

func onNode(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}
}

// TestClaimEndsBeforePlanIsHeard: claims of a batch are written side by side, so the first
// may be refused before the planner reports the last. It must not come back to life.
func TestClaimEndsBeforePlanIsHeard(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.reserve([]*corev1.Pod{waiting("a")})
	l.plan("test")
	claim := claimFor("c1", "a")
	claim.UID = "c1"
	l.observe(event{claim: claim})
	l.observe(event{claim: claim, gone: true})
	l.planned(result{claims: []*v1alpha1.NodeClaim{claim}})
	if e := l.pods["a"]; e.Phase != Waiting || e.Claim != "" {
		t.Errorf("pod a is %s on claim %q, want waiting", e.Phase, e.Claim)
	}
	if len(l.claims) != 0 || l.batchSince.IsZero() {
		t.Errorf("%d claims, batch open since %s", len(l.claims), l.batchSince)
	}
}

func TestBatchIsComplete(t *testing.T) {
	replicaSet := &appsv1.ReplicaSet{ObjectMeta: objectMeta("rs"), Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](3)}}
	ordered := &appsv1.StatefulSet{ObjectMeta: objectMeta("sts"), Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](3)}}
	parallel := ordered.DeepCopy()
	parallel.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	job := &batchv1.Job{ObjectMeta: objectMeta("job"), Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](5), Completions: ptr.To[int32](4)}, Status: batchv1.JobStatus{Succeeded: 2}}
	of := func(kind, name string, names ...string) (pods []*corev1.Pod) {
		for _, n := range names {
			pods = append(pods, waiting(n, ownedBy(kind, name)))
		}
		return pods
	}
	for _, tt := range []struct {
		name    string
		objects []client.Object
		pods    []*corev1.Pod
		want    bool
	}{
		{"a pod without an owner may have company", nil, []*corev1.Pod{waiting("a")}, false},
		{"replicas are still to come", []client.Object{replicaSet}, of("ReplicaSet", "rs", "a", "b"), false},
		{"all replicas have come", []client.Object{replicaSet}, of("ReplicaSet", "rs", "a", "b", "c"), true},
		{
			"bound replicas count",
			[]client.Object{replicaSet, waiting("z", ownedBy("ReplicaSet", "rs"), onNode("n"))},
			of("ReplicaSet", "rs", "a", "b"), true,
		},
		{"an owner nobody knows", nil, of("ReplicaSet", "rs", "a", "b", "c"), false},
		{"a kind nobody knows", nil, of("Rollout", "r", "a"), false},
		{"an ordered set sends one by one", []client.Object{ordered}, of("StatefulSet", "sts", "a"), true},
		{"a parallel set sends all", []client.Object{parallel}, of("StatefulSet", "sts", "a"), false},
		{"a job sends what it has left to do", []client.Object{job}, of("Job", "job", "a", "b"), true},
		{"one of two owners is not done", []client.Object{replicaSet, job}, append(of("Job", "job", "a", "b"), of("ReplicaSet", "rs", "c")...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, tt.objects...)
			for _, p := range tt.pods {
				l.add(p, time.Now())
			}
			if got := l.complete(); got != tt.want {
				t.Errorf("complete = %v", got)
			}
		})
	}
}

func TestCloseBatch(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name         string
		since, last  time.Duration // ago
		closed       bool
		why          string
		lookAgainFor time.Duration
	}{
		{name: "pods keep coming", since: 500 * time.Millisecond, last: 30 * time.Millisecond, lookAgainFor: 70 * time.Millisecond},
		{name: "idle", since: 500 * time.Millisecond, last: 100 * time.Millisecond, closed: true, why: "no pod came for 100ms"},
		{name: "open for long", since: time.Second, last: 10 * time.Millisecond, closed: true, why: "open for 1s"},
		{name: "about to be open for long", since: 950 * time.Millisecond, last: 0, lookAgainFor: 50 * time.Millisecond},
		{name: "just opened", since: 0, last: 0, lookAgainFor: settle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t)
			l.add(waiting("a"), now)
			l.batchSince, l.lastPod, l.lastOwner = now.Add(-tt.since), now.Add(-tt.last), now.Add(-tt.since)
			closed, why, later := l.closeBatch(now)
			if closed != tt.closed || why != tt.why {
				t.Errorf("closed = %v because %q", closed, why)
			}
			if !closed && later.Sub(now) != tt.lookAgainFor {
				t.Errorf("look again after %s, want %s", later.Sub(now), tt.lookAgainFor)
			}
		})
	}
}

func TestReserveIsIdempotentAndBounded(t *testing.T) {
	l := newLoop(t)
	reserve := func(p *corev1.Pod) Verdict { return l.reserve([]*corev1.Pod{p})[0] }
	for _, tt := range []struct {
		name string
		pod  *corev1.Pod
		want Verdict
	}{
		{"new", waiting("a"), Verdict{Pod: "a", Code: Accepted}},
		{"again", waiting("a"), Verdict{Pod: "a", Code: AlreadyReserved}},
		{"another scheduler's", waiting("b", func(p *corev1.Pod) { p.Spec.SchedulerName = "default-scheduler" }), Verdict{Pod: "b", Code: Refused, Reason: `scheduler "default-scheduler" is not in the launcher's scheduler configuration`}},
		{"bound", waiting("c", onNode("n")), Verdict{Pod: "c", Code: Refused, Reason: "the pod is bound, finished or being deleted"}},
		{"second", waiting("d"), Verdict{Pod: "d", Code: Accepted}},
		{"third", waiting("e"), Verdict{Pod: "e", Code: Accepted}},
		{"fourth", waiting("f"), Verdict{Pod: "f", Code: Accepted}},
		{"one too many", waiting("g"), Verdict{Pod: "g", Code: Refused, Reason: "4 pods wait already; try again later"}},
	} {
		if diff := cmp.Diff(tt.want, reserve(tt.pod)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func claimFor(name string, pods ...string) *v1alpha1.NodeClaim {
	c := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Offerings = v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{InstanceType: "t3.medium", Zone: "a", CapacityType: "on-demand", Price: *resource.NewScaledQuantity(41_600, resource.Micro)})
	for _, p := range pods {
		c.Spec.Pods = append(c.Spec.Pods, v1alpha1.ReservedPod{UID: types.UID(p), Namespace: "default", Name: p})
	}
	return c
}

// TestLifeOfAReservation drives one pod through its claim's life and its failures.
func TestLifeOfAReservation(t *testing.T) {
	pod := waiting("a")
	l := newLoop(t, pod)
	phase := func(want Phase, reason string) {
		t.Helper()
		e := l.pods["a"]
		if e == nil {
			t.Fatalf("the pod is forgotten, want %s", want)
		}
		if e.Phase != want || e.Reason != reason {
			t.Fatalf("phase %s (%s), want %s (%s)", e.Phase, e.Reason, want, reason)
		}
	}
	l.reserve([]*corev1.Pod{pod})
	phase(Waiting, "")

	claim := claimFor("c1", "a")
	l.planned(result{claims: []*v1alpha1.NodeClaim{claim}})
	phase(Planned, "")
	if got := l.pods["a"].Price; got != 0.0416 {
		t.Errorf("price %v", got)
	}

	throttled := claim.DeepCopy()
	throttled.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonThrottled,
		Message: "CreateFleet: https response error StatusCode: 503, RequestID: 7f, api error RequestLimitExceeded: slow down",
	}}
	l.observe(event{claim: throttled})
	phase(Planned, "the launch failed and is tried again: CreateFleet: api error RequestLimitExceeded: slow down")

	launched := claim.DeepCopy()
	launched.Status.NodeName, launched.Status.InstanceID = "i-1", "i-1"
	l.observe(event{claim: launched})
	phase(Launched, "")

	ready := launched.DeepCopy()
	ready.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionTrue}}
	l.observe(event{claim: ready})
	phase(Ready, "")

	// Another claim that names the pod does not take it away.
	l.observe(event{claim: claimFor("c0", "a")})
	if got := l.pods["a"].Claim; got != "c1" {
		t.Errorf("claim %s", got)
	}

	// No capacity: planned for again at once.
	failed := claim.DeepCopy()
	failed.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	failed.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInsufficientCapacity, Message: "none left"}}
	l.observe(event{claim: failed})
	phase(Waiting, "")

	// Denied: with patience, which ends by itself.
	second := claimFor("c2", "a")
	l.planned(result{claims: []*v1alpha1.NodeClaim{second}})
	phase(Planned, "")
	second = second.DeepCopy()
	second.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: "AccessDenied", Message: "ec2:CreateFleet is missing"}}
	l.observe(event{claim: second, gone: true})
	e := l.pods["a"]
	if e.Phase != Unlaunchable || !e.notBefore.After(time.Now()) {
		t.Fatalf("phase %s until %s", e.Phase, e.notBefore)
	}
	l.reconsider("NodePools changed")
	if e.Phase != Unlaunchable {
		t.Error("patience ended early")
	}
	l.wakeParked(e.notBefore)
	phase(Waiting, "")

	// Bound: forgotten.
	l.observe(event{pod: waiting("a", onNode("n"))})
	if len(l.pods) != 0 {
		t.Errorf("%d pods are remembered", len(l.pods))
	}
}

func TestReleasedPodDoesNotComeBack(t *testing.T) {
	pod := waiting("a")
	l := newLoop(t, pod)
	l.reserve([]*corev1.Pod{pod})
	claim := claimFor("c1", "a")
	claim.Status.InstanceID = "i-1"
	l.planned(result{claims: []*v1alpha1.NodeClaim{claim}})
	l.release([]Release{{Pod: "a", Claim: "another"}})
	if l.pods["a"] == nil {
		t.Fatal("a release of another claim's reservation was obeyed")
	}
	l.release([]Release{{Pod: "a", Claim: "c1", Reason: "node is smaller than predicted"}})
	l.reserve([]*corev1.Pod{pod})
	l.observe(event{claim: claim.DeepCopy()}) // the cache does not show the release yet
	if e := l.pods["a"]; e.Phase != Waiting || e.Claim != "" {
		t.Errorf("the pod is back on %s (%s)", e.Claim, e.Phase)
	}
}

// TestReleaseOfPodThatWaitsForAllItsSchedulerKnows: it may have taken a seat, or be planned for,
// in the meantime.
func TestReleaseOfPodThatWaitsForAllItsSchedulerKnows(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.observe(event{claim: claimFor("c1", "a")})
	l.release([]Release{{Pod: "a", Reason: "deleted"}})
	if len(l.pods) != 0 {
		t.Error("the pod keeps its reservation")
	}
	if len(l.queue) != 2 || l.queue[0].released == nil || l.queue[1].cancel == nil {
		t.Errorf("jobs %v, want the claim told and cancelled", l.queue)
	}
	l.release([]Release{{Pod: "a", Claim: "c1"}, {Pod: "a"}}) // again
	if len(l.queue) != 2 {
		t.Errorf("jobs %v after the release was repeated", l.queue)
	}
}

// TestReleaseIsWrittenAgain: a release that could not be written on its claim is, once the claim
// shows that.
func TestReleaseIsWrittenAgain(t *testing.T) {
	l := newLoop(t, waiting("a"))
	claim := launched("a", "b")
	l.observe(event{claim: claim})
	l.release([]Release{{Pod: "a", Claim: "c", Reason: "displaced"}})
	l.queue = nil // it failed
	for range 2 {
		l.observe(event{claim: claim.DeepCopy()})
	}
	if len(l.queue) != 1 || l.queue[0].released == nil || l.queue[0].released.claim != "c" {
		t.Fatalf("jobs %v, want the release written once", l.queue)
	}
	l.queue = nil
	l.observe(event{claim: returned(claim.DeepCopy(), "a")})
	if len(l.queue) != 0 {
		t.Errorf("jobs %v although it is written", l.queue)
	}
}

// TestRoomToSpare: a pod that is added to a claim holds a place there.
func TestRoomToSpare(t *testing.T) {
	a, b := waiting("a"), waiting("b")
	l := newLoop(t, a, b)
	l.reserve([]*corev1.Pod{a})
	claim := claimFor("c1", "a")
	claim.Status.InstanceID = "i-1"
	l.planned(result{claims: []*v1alpha1.NodeClaim{claim}})
	l.reserve([]*corev1.Pod{b})
	added := claim.DeepCopy()
	added.Status.Added = []v1alpha1.ReservedPod{{UID: "b", Namespace: "default", Name: "b"}}
	l.planned(result{grown: []*v1alpha1.NodeClaim{added}})
	if e := l.pods["b"]; e.Phase != Planned || e.Claim != "c1" {
		t.Fatalf("pod b is %s on %q", e.Phase, e.Claim)
	}
	gone := added.DeepCopy()
	gone.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	l.observe(event{claim: gone})
	for _, uid := range []types.UID{"a", "b"} {
		if e := l.pods[uid]; e.Phase != Waiting {
			t.Errorf("pod %s is %s after its claim ended, want waiting", uid, e.Phase)
		}
	}
}

func TestUnneededClaimIsCancelledBeforeLaunch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		instance string
		want     bool
	}{{"not launched yet", "", true}, {"launched", "i-1", false}} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoop(t, waiting("a"))
			l.reserve([]*corev1.Pod{waiting("a")})
			claim := claimFor("c1", "a")
			claim.Status.InstanceID = tt.instance
			l.planned(result{claims: []*v1alpha1.NodeClaim{claim}})
			l.observe(event{pod: waiting("a"), gone: true})
			if got := len(l.queue) == 1 && l.queue[0].cancel != nil; got != tt.want {
				t.Errorf("cancelled = %v", got)
			}
		})
	}
}

// TestJobsRunBetweenBatches: a batch goes before what can wait, and the next one after it. What
// was told to go is not planned for.
func TestJobsRunBetweenBatches(t *testing.T) {
	l := newLoop(t, waiting("a"), waiting("b"))
	l.reserve([]*corev1.Pod{waiting("a")})
	l.planned(result{claims: []*v1alpha1.NodeClaim{claimFor("c1", "a")}})
	l.observe(event{pod: waiting("a"), gone: true})
	claims, leaving := l.held()
	if len(claims) != 0 || len(leaving) != 1 {
		t.Errorf("%d claims count for a plan and %d leave, want the cancelled one to leave", len(claims), len(leaving))
	}
	var order []string
	take := func(n int) {
		for range n {
			_, next := l.nextJob()
			l.taken(next)
			switch {
			case next.batch != nil:
				order = append(order, "batch")
			case next.cancel != nil:
				order = append(order, "cancel")
			default:
				order = append(order, "seats")
			}
		}
	}
	l.submit(job{batch: &batch{}})
	take(1)
	l.submit(job{seated: &seatedPods{claim: "c2"}})
	l.submit(job{batch: &batch{}})
	take(3)
	if diff := cmp.Diff([]string{"batch", "cancel", "batch", "seats"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestSlowWatcherIsCutOff(t *testing.T) {
	l := newLoop(t)
	_, changes := l.watch(t.Context())
	e := &entry{}
	for range watcherBuffer + 1 {
		l.wait(e, time.Now())
		l.publish()
	}
	n := 0
	for range changes {
		n++
	}
	if n != watcherBuffer {
		t.Errorf("%d messages before the end, want %d", n, watcherBuffer)
	}
}

var _ Catalog = (*offering.Catalog)(nil)
