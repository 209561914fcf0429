package allocate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// grouped puts a pod into group g, of which at least so many start together.
func grouped(least string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Labels = map[string]string{v1alpha1.LabelPodGroup: "g", v1alpha1.LabelPodGroupMin: least}
	}
}

func inPodGroup(p *corev1.Pod) {
	p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: new("g")}
}

func podGroup(change ...func(*schedulingv1alpha2.PodGroupSpec)) *schedulingv1alpha2.PodGroup {
	pg := &schedulingv1alpha2.PodGroup{ObjectMeta: objectMeta("g")}
	for _, c := range change {
		c(&pg.Spec)
	}
	return pg
}

func atLeast(n int32) func(*schedulingv1alpha2.PodGroupSpec) {
	return func(s *schedulingv1alpha2.PodGroupSpec) {
		s.SchedulingPolicy.Gang = &schedulingv1alpha2.GangSchedulingPolicy{MinCount: n}
	}
}

func within(key string) func(*schedulingv1alpha2.PodGroupSpec) {
	return func(s *schedulingv1alpha2.PodGroupSpec) {
		s.SchedulingConstraints = &schedulingv1alpha2.PodGroupSchedulingConstraints{Topology: []schedulingv1alpha2.TopologyConstraint{{Key: key}}}
	}
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value) }
}

func TestGangOf(t *testing.T) {
	label := func(p *corev1.Pod) { p.Labels = map[string]string{v1alpha1.LabelPodGroup: "g"} }
	for _, tt := range []struct {
		name     string
		podGroup client.Object
		pod      *corev1.Pod
		want     gang
		wantErr  string
	}{
		{"label", nil, waiting("a", grouped("4")), gang{min: 4}, ""},
		{"annotation", nil, waiting("a", label, annotated(v1alpha1.LabelPodGroupMin, "4")), gang{min: 4}, ""},
		{"no minimum", nil, waiting("a", label), gang{}, `slipway.dev/pod-group-min is ""`},
		{"a minimum of nothing", nil, waiting("a", grouped("0")), gang{}, `slipway.dev/pod-group-min is "0"`},
		{
			"in one zone", nil, waiting("a", grouped("4"), annotated(v1alpha1.PodGroupTopologyAnnotation, "topology.kubernetes.io/zone")),
			gang{4, true}, "",
		},
		{"in one rack", nil, waiting("a", grouped("4"), annotated(v1alpha1.PodGroupTopologyAnnotation, "rack")), gang{}, `topology "rack" is not supported`},
		{"PodGroup", podGroup(atLeast(4)), waiting("a", inPodGroup), gang{min: 4}, ""},
		{"PodGroup before the label", podGroup(atLeast(4)), waiting("a", grouped("5"), inPodGroup), gang{min: 4}, ""},
		{"PodGroup in one zone", podGroup(atLeast(4), within("topology.kubernetes.io/zone")), waiting("a", inPodGroup), gang{4, true}, ""},
		{"PodGroup in one rack", podGroup(atLeast(4), within("rack")), waiting("a", inPodGroup), gang{}, `topology "rack" is not supported`},
		{"PodGroup that is no gang", podGroup(), waiting("a", inPodGroup), gang{}, ""},
		{"no PodGroup", nil, waiting("a", inPodGroup), gang{}, "there is no PodGroup default/g"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := []client.Object{tt.pod}
			if tt.podGroup != nil {
				objects = append(objects, tt.podGroup)
			}
			got, err := newLoop(t, objects...).gangOf(tt.pod)
			if got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%+v, %v, want %+v, %q", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

// TestGather: a plan is made for a group once enough of its pods wait, have places or run.
func TestGather(t *testing.T) {
	running := func(name string, change ...func(*corev1.Pod)) *corev1.Pod {
		return waiting(name, append(change, onNode("n"))...)
	}
	for _, tt := range []struct {
		name     string
		objects  []client.Object // beside the pods
		reserved []*corev1.Pod
		waiting  []*corev1.Pod
		want     []types.UID // that are planned for
		need     need        // of the group
		reason   string      // of pod a
	}{
		{
			"too few", nil, nil, []*corev1.Pod{waiting("a", grouped("3")), waiting("z")},
			[]types.UID{"z"}, need{}, "waits for 2 more pods of group default/g",
		},
		{"enough", nil, nil, []*corev1.Pod{waiting("a", grouped("2")), waiting("b", grouped("2"))}, []types.UID{"a", "b"}, need{gang{min: 2}, 2}, ""},
		{
			"some have places", nil, []*corev1.Pod{waiting("b", grouped("2"))}, []*corev1.Pod{waiting("a", grouped("2"))},
			[]types.UID{"a"}, need{gang{min: 2}, 1}, "",
		},
		{
			"some run", []client.Object{running("x", grouped("2"))}, nil, []*corev1.Pod{waiting("a", grouped("2"))},
			[]types.UID{"a"}, need{gang{min: 2}, 1}, "",
		},
		{
			"others do not count", []client.Object{running("x")}, nil, []*corev1.Pod{waiting("a", grouped("2"))},
			nil, need{}, "waits for 1 more pods of group default/g",
		},
		{
			"pods that may fit elsewhere do not count", []client.Object{waiting("x", grouped("2"))}, nil, []*corev1.Pod{waiting("a", grouped("2"))},
			nil, need{}, "waits for 1 more pods of group default/g",
		},
		{
			"but those of a PodGroup do", []client.Object{podGroup(atLeast(2)), waiting("x", inPodGroup)}, nil, []*corev1.Pod{waiting("a", inPodGroup)},
			[]types.UID{"a"}, need{gang{min: 2}, 1}, "",
		},
		{"enough without it", nil, []*corev1.Pod{waiting("b", grouped("1"))}, []*corev1.Pod{waiting("a", grouped("1"))}, []types.UID{"a"}, need{gang{min: 1}, 0}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := tt.objects
			for _, p := range slices.Concat(tt.reserved, tt.waiting) {
				objects = append(objects, p)
			}
			l := newLoop(t, objects...)
			for _, p := range tt.reserved {
				l.add(p, time.Now())
				l.observe(event{claim: claimFor("c-"+p.Name, p.Name)})
			}
			l.reserve(tt.waiting)
			l.plan("test")
			var got []types.UID
			var n need
			for _, j := range l.queue {
				if j.batch != nil {
					for _, p := range j.batch.pods {
						got = append(got, p.UID)
					}
					n = j.batch.needs[l.groupNameOf("a")]
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("planned for (-want +got):\n%s", diff)
			}
			if n != tt.need {
				t.Errorf("needs %+v, want %+v", n, tt.need)
			}
			if r := l.pods["a"].Reason; r != tt.reason {
				t.Errorf("pod a: %q, want %q", r, tt.reason)
			}
			if !l.batchSince.IsZero() {
				t.Error("a batch is open although nobody else waits")
			}
		})
	}
}

func (l *loop) groupNameOf(pod types.UID) string {
	if g := l.pods[pod].group; g != nil {
		return g.name
	}
	return ""
}

// TestPodRunsElsewhere: the last pod of a group may need nothing from here.
func TestPodRunsElsewhere(t *testing.T) {
	last := waiting("z", grouped("2"))
	l := newLoop(t, waiting("a", grouped("2")), last)
	l.reserve([]*corev1.Pod{waiting("a", grouped("2"))})
	l.plan("test")
	last.Spec.NodeName = "n"
	if err := l.cfg.Client.Update(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	l.observe(event{pod: last})
	if l.batchSince.IsZero() {
		t.Fatal("the pod that waits for it is not looked at again")
	}
	l.plan("test")
	if len(l.queue) != 1 || len(l.queue[0].batch.pods) != 1 {
		t.Errorf("jobs: %v", l.queue)
	}
}

// TestNodesOfGroup: a group's nodes are used when enough of them are ready.
func TestNodesOfGroup(t *testing.T) {
	pods := []*corev1.Pod{waiting("a", grouped("2")), waiting("b", grouped("2")), waiting("c", grouped("2"))}
	l := newLoop(t, pods[0], pods[1], pods[2])
	l.reserve(pods)
	on := func(name, pod string) *v1alpha1.NodeClaim {
		c := claimFor(name, pod)
		c.Status.InstanceID, c.Status.NodeName = "i-"+name, "n-"+name
		l.observe(event{claim: c})
		return c
	}
	claims := []*v1alpha1.NodeClaim{on("c1", "a"), on("c2", "b"), on("c3", "c")}
	look := func(what, want string) {
		t.Helper()
		var got []string
		for _, p := range pods {
			e := l.pods[p.UID]
			s := e.Phase.String()
			if e.Held {
				s += "+held"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", what, s, want)
		}
	}
	look("all are bought", "launched+held launched+held launched+held")
	l.observe(event{claim: initialized(claims[0])})
	look("one is ready", "launched+held launched+held launched+held")
	if r := l.pods["a"].Reason; r != "waits for other nodes of group default/g" {
		t.Errorf("reason %q", r)
	}
	l.observe(event{claim: initialized(claims[1])})
	look("two are ready", "ready ready launched")
	l.observe(event{claim: initialized(claims[2])})
	look("all are ready", "ready ready ready")
}

// failed is a claim that ended because of what a launch said.
func failed(c *v1alpha1.NodeClaim, reason string) *v1alpha1.NodeClaim {
	c = c.DeepCopy()
	c.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionLaunched, Status: metav1.ConditionFalse, Reason: reason, Message: "none left",
	})
	return c
}

// TestLaunchFails: what becomes of a group when the launch of a's node fails. Of b's nothing
// is bought yet, c's is on its way.
func TestLaunchFails(t *testing.T) {
	for _, tt := range []struct {
		name, least, reason string
		want                map[types.UID]string
		cancelled           []string
	}{
		{
			"too few are left", "3", v1alpha1.ReasonInsufficientCapacity,
			map[types.UID]string{"a": "waiting", "b": "waiting", "c": "launched on cc"},
			[]string{"cb"},
		},
		{
			"enough are left", "2", v1alpha1.ReasonInsufficientCapacity,
			map[types.UID]string{"a": "waiting", "b": "planned on cb", "c": "launched on cc"}, nil,
		},
		{
			"with patience", "3", "AccessDenied",
			map[types.UID]string{
				"a": "unlaunchable: none left",
				"b": "unlaunchable: too few nodes are left for group default/g, which is planned for again: none left",
				"c": "launched on cc",
			},
			[]string{"cb"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, claims := reservedGroup(t, tt.least)
			l.observe(event{claim: failed(claims["ca"], tt.reason)})
			l.states(t, tt.want, tt.cancelled)
		})
	}
}

// TestGroupIsRefused: what a group has and cannot use it gives back.
func TestGroupIsRefused(t *testing.T) {
	l, claims := reservedGroup(t, "3")
	l.observe(event{claim: failed(claims["ca"], v1alpha1.ReasonInsufficientCapacity)})
	l.plan("test")
	l.queue = nil
	l.planned(result{refused: map[string]refusal{"group default/g": {reason: "no room"}}})
	l.states(t, map[types.UID]string{"a": "unlaunchable: no room", "b": "unlaunchable: no room", "c": "unlaunchable: no room"}, []string{"cc"})
	soon := func(when string, want bool) {
		t.Helper()
		in := time.Until(l.pods["a"].recheck)
		if got := in < 10*time.Second; got != want || in > recheckEvery {
			t.Errorf("%s: tried again in %s", when, in)
		}
	}
	soon("it gave something back", true)
	if l.reconsider("NodePools changed"); l.pods["a"].Phase == Waiting {
		t.Error("nodes are bought in vain again at once")
	}
	l.wakeParked(l.pods["a"].notBefore)
	l.plan("test")
	i := slices.IndexFunc(l.queue, func(j job) bool { return j.batch != nil })
	if i < 0 || l.queue[i].batch.needs["group default/g"].pods != 3 {
		t.Fatalf("jobs: %v", l.queue)
	}
	// It may be another group's turn to give way.
	l.planned(result{refused: map[string]refusal{"group default/g": {reason: "no room", again: true}}})
	soon("another group may be the one to give way", true)
	l.wakeParked(time.Now().Add(10 * time.Second))
	l.plan("test")
	l.planned(result{refused: map[string]refusal{"group default/g": {reason: "no room"}}})
	soon("nothing helps", false)
}

// TestClaimOfGroupCannotBeWritten: nor are the others kept.
func TestClaimOfGroupCannotBeWritten(t *testing.T) {
	pods := []*corev1.Pod{waiting("a", grouped("2")), waiting("b", grouped("2"))}
	l := newLoop(t, pods[0], pods[1])
	l.reserve(pods)
	l.plan("test")
	l.queue = nil
	l.planned(result{claims: []*v1alpha1.NodeClaim{claimFor("ca", "a")}, failed: map[types.UID]string{"b": "NodeClaim could not be written"}})
	l.states(t, map[types.UID]string{
		"a": "unlaunchable: too few nodes are left for group default/g, which is planned for again: NodeClaim could not be written",
		"b": "unlaunchable: NodeClaim could not be written",
	}, []string{"ca"})
}

// reservedGroup is a loop with pods a, b and c of a group, each on a claim of its own.
func reservedGroup(t *testing.T, least string) (*loop, map[string]*v1alpha1.NodeClaim) {
	t.Helper()
	var pods []*corev1.Pod
	var objects []client.Object
	for _, name := range []string{"a", "b", "c"} {
		p := waiting(name, grouped(least))
		pods, objects = append(pods, p), append(objects, p)
	}
	l := newLoop(t, objects...)
	l.reserve(pods)
	claims := map[string]*v1alpha1.NodeClaim{}
	for _, p := range pods {
		c := claimFor("c"+p.Name, p.Name)
		if p.Name == "c" {
			c.Status.InstanceID, c.Status.NodeName = "i-c", "n-c"
		}
		claims[c.Name] = c
		l.observe(event{claim: c})
	}
	return l, claims
}

// states checks how things stand with pods, and which claims were told to go.
func (l *loop) states(t *testing.T, want map[types.UID]string, cancelled []string) {
	t.Helper()
	got := map[types.UID]string{}
	for uid, e := range l.pods {
		got[uid] = e.Phase.String()
		if e.Claim != "" {
			got[uid] += " on " + e.Claim
		} else if e.Reason != "" {
			got[uid] += ": " + e.Reason
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	var gone []string
	for _, j := range l.queue {
		if j.cancel != nil {
			gone = append(gone, j.cancel.name)
		}
	}
	slices.Sort(gone)
	if diff := cmp.Diff(cancelled, gone); diff != "" {
		t.Errorf("cancelled claims (-want +got):\n%s", diff)
	}
}

// TestShortfall: who gives way is the youngest group of the lowest priority.
func TestShortfall(t *testing.T) {
	in := func(group, name string, priority int32, age time.Duration) *corev1.Pod {
		p := waiting(name)
		p.Labels = map[string]string{v1alpha1.LabelPodGroup: group}
		p.Spec.Priority = new(priority)
		p.CreationTimestamp = metav1.Time{Time: time.Unix(1000, 0).Add(-age)}
		return p
	}
	pods := []*corev1.Pod{in("old", "a", 0, time.Hour), in("young", "b", 0, 0), in("vital", "c", 5, 0), in("placed", "d", 0, 0)}
	needs := map[string]need{}
	plan := &fit.Plan{}
	for _, p := range pods {
		needs["group default/"+p.Labels[v1alpha1.LabelPodGroup]] = need{pods: 1}
		if p.Name != "d" {
			plan.Unplaced = append(plan.Unplaced, fit.Unplaced{Pod: p})
		}
	}
	var got []string
	for _, g := range shortfall(plan, pods, needs) {
		got = append(got, g.name)
	}
	if diff := cmp.Diff([]string{"group default/vital", "group default/old", "group default/young"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGroupAsksForLess: a group that waits for more pods does so no longer when fewer are asked
// for, whoever tells of it first.
func TestGroupAsksForLess(t *testing.T) {
	asking := func(least, version string) *corev1.Pod {
		return waiting("a", func(p *corev1.Pod) {
			p.ResourceVersion = version
			p.Labels = map[string]string{v1alpha1.LabelPodGroup: "g", v1alpha1.LabelPodGroupMin: least}
		})
	}
	for _, tt := range []struct {
		name string
		tell func(*loop, *corev1.Pod)
	}{
		{"the informer", func(l *loop, p *corev1.Pod) { l.observe(event{pod: p}) }},
		{"the scheduler", func(l *loop, p *corev1.Pod) { l.reserve([]*corev1.Pod{p}) }},
	} {
		for _, before := range []string{"2", "two"} { // waits for another, is unlaunchable
			t.Run(tt.name+" after "+before, func(t *testing.T) {
				l := newLoop(t, asking(before, "5"))
				l.reserve([]*corev1.Pod{asking(before, "5")})
				l.plan("test")
				if len(l.queue) != 0 {
					t.Fatal("planned for alone")
				}
				tt.tell(l, asking("1", "2000"))
				if l.batchSince.IsZero() {
					t.Fatal("the group is not looked at again")
				}
				l.plan("test")
				if len(l.queue) != 1 {
					t.Errorf("not planned for: %s", l.pods["a"].Reason)
				}
			})
		}
	}
}
