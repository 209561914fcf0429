package allocate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// newPlanner is a planner over a fake API server that behaves as told.
func newPlanner(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*planner, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.NodeClaim{}).
		WithInterceptorFuncs(funcs).Build()
	return &planner{cfg: Config{Client: c, Live: c, Leads: func() error { return nil }}, log: logr.Discard()}, c
}

// TestFormerLeader: who may have a successor writes no claim, as that one may have planned
// for the same pods.
func TestFormerLeader(t *testing.T) {
	p, c := newPlanner(t, interceptor.Funcs{})
	over := errors.New("the lease is over")
	p.cfg.Leads = func() error { return over }
	failed := map[types.UID]string{}
	if written := p.write(t.Context(), []*v1alpha1.NodeClaim{claimFor("c", "a")}, failed); len(written) > 0 {
		t.Errorf("%d claims were written", len(written))
	}
	if !strings.Contains(failed["a"], over.Error()) {
		t.Errorf("failed pods: %v", failed)
	}
	var claims v1alpha1.NodeClaimList
	if err := c.List(t.Context(), &claims); err != nil || len(claims.Items) > 0 {
		t.Errorf("%d claims, %v", len(claims.Items), err)
	}
}

// TestLostAnswer: a claim whose creation was done, but not answered, is not written twice.
func TestLostAnswer(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "nodeclaims"}, "c", errors.New("no"))
	for _, tt := range []struct {
		name string
		done bool // before the answer was lost
		err  error
		want bool
	}{
		{"answer lost after the write", true, errors.New("unexpected EOF"), true},
		{"lost before the write", false, errors.New("connection refused"), false},
		{"timed out after the write", true, apierrors.NewTimeoutError("slow", 1), true},
		{"refused", false, forbidden, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, c := newPlanner(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if tt.done {
					if err := c.Create(ctx, o.DeepCopyObject().(client.Object), opts...); err != nil {
						return err
					}
				}
				return tt.err
			}})
			failed := map[types.UID]string{}
			written := p.write(t.Context(), []*v1alpha1.NodeClaim{claimFor("c", "a")}, failed)
			if got := len(written) == 1; got != tt.want || (failed["a"] == "") != tt.want {
				t.Errorf("written = %v, failed = %v", got, failed)
			}
			var claims v1alpha1.NodeClaimList
			if err := c.List(t.Context(), &claims); err != nil || (len(claims.Items) == 1) != tt.want {
				t.Errorf("%d claims, %v", len(claims.Items), err)
			}
		})
	}
}

// TestReleasesSurviveConflicts: whoever else writes the claim's status, no release is lost.
func TestReleasesSurviveConflicts(t *testing.T) {
	conflicts := 2
	p, c := newPlanner(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
		if conflicts--; conflicts >= 0 {
			return apierrors.NewConflict(schema.GroupResource{Resource: "nodeclaims"}, o.GetName(), errors.New("changed"))
		}
		return c.SubResource(sub).Patch(ctx, o, patch, opts...)
	}}, claimFor("c", "a", "b"))
	p.markReleased(t.Context(), releasedPods{claim: "c", pods: []types.UID{"a"}})
	p.markReleased(t.Context(), releasedPods{claim: "c", pods: []types.UID{"a", "b"}})
	var claim v1alpha1.NodeClaim
	if err := c.Get(t.Context(), types.NamespacedName{Name: "c"}, &claim); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]types.UID{"a", "b"}, claim.Status.Released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
}

// TestDeletedPodsAreNotPlannedFor: their deletion may have been seen before they were handed over.
func TestDeletedPodsAreNotPlannedFor(t *testing.T) {
	recreated := waiting("b")
	recreated.UID = "b2"
	p, _ := newPlanner(t, interceptor.Funcs{}, waiting("a"), recreated)
	kept, gone := p.existing(t.Context(), []*corev1.Pod{waiting("a"), waiting("b"), waiting("c")}, nil)
	if len(kept) != 1 || kept[0].Name != "a" || !slices.Equal(gone, []types.UID{"b", "c"}) {
		t.Errorf("kept %v, gone %v", kept, gone)
	}
}

// TestPodsAreTakenAsTheyAre: what a client says that a pod wants does not count.
func TestPodsAreTakenAsTheyAre(t *testing.T) {
	p, _ := newPlanner(t, interceptor.Funcs{}, waiting("a"))
	lie := waiting("a")
	lie.Spec.NodeSelector = map[string]string{"node.kubernetes.io/instance-type": "u7in-32tb.224xlarge"}
	kept, _ := p.existing(t.Context(), []*corev1.Pod{lie}, nil)
	if len(kept) != 1 || kept[0].Spec.NodeSelector != nil {
		t.Errorf("kept %v", kept)
	}
}

func parked(t *testing.T, l *loop) *entry {
	t.Helper()
	l.add(waiting("a"), time.Now())
	e := l.pods["a"]
	l.refuse(e, "no room", time.Now())
	return e
}

// TestChangeDuringPlanning: what changed while a plan was made is minded once it is there.
func TestChangeDuringPlanning(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.add(waiting("a"), time.Now())
	l.plan("test")
	l.observe(event{why: "NodePools changed"})
	l.planned(result{})
	if l.stale != "" {
		t.Error("the change is still to be minded")
	}
	e := l.pods["a"]
	l.plan("test")
	l.observe(event{why: "NodePools changed"})
	l.refuse(e, "the old view's reason", time.Now())
	l.planned(result{})
	if e.Phase != Waiting {
		t.Errorf("the pod is %s although NodePools changed under the plan", e.Phase)
	}
}

// TestParkedPodIsRechecked: also when nothing that is watched changes.
func TestParkedPodIsRechecked(t *testing.T) {
	l := newLoop(t, waiting("a"))
	e := parked(t, l)
	now := time.Now()
	if next := l.wakeParked(now); e.Phase != Unlaunchable || next.Sub(now) > recheckEvery || next.Sub(now) < recheckEvery-time.Minute {
		t.Fatalf("phase %s, next look in %s", e.Phase, next.Sub(now))
	}
	l.wakeParked(now.Add(recheckEvery))
	if e.Phase != Waiting {
		t.Errorf("phase %s after %s", e.Phase, recheckEvery)
	}
}

func TestLongReasonsAreCut(t *testing.T) {
	l := newLoop(t, waiting("a"))
	l.add(waiting("a"), time.Now())
	l.refuse(l.pods["a"], strings.Repeat("ä", longestReason), time.Now())
	if n := len(l.pods["a"].Reason); n > longestReason {
		t.Errorf("a reason of %d bytes", n)
	}
}

// TestDrainingClaimCounts: an instance that is on its way out still is one.
func TestDrainingClaimCounts(t *testing.T) {
	limited := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1alpha1.NodePoolSpec{
		Limits: corev1.ResourceList{"nodes": resource.MustParse("1")},
	}}
	l := newLoop(t, waiting("a"), limited)
	draining := claimFor("c")
	draining.Spec.NodePool = "p"
	draining.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	l.observe(event{claim: draining})
	e := parked(t, l)
	e.Phase = Waiting
	l.plan("test")
	if b := l.queue[0].batch; len(b.claims) != 0 || len(b.leaving) != 1 {
		t.Errorf("the plan counts %d claims and %d leaving ones", len(b.claims), len(b.leaving))
	}
	l.planned(result{})
	l.refuse(e, "its limit of 1 nodes is reached", time.Now())
	l.observe(event{claim: draining, gone: true})
	if len(l.claims) != 0 || e.Phase != Waiting {
		t.Errorf("%d claims are left, the pod is %s", len(l.claims), e.Phase)
	}
}

// TestClaimOfNobodyIsCancelled: its pods went away while no launcher led.
func TestClaimOfNobodyIsCancelled(t *testing.T) {
	l := newLoop(t)
	l.observe(event{claim: claimFor("c", "gone")})
	l.observe(event{claim: claimFor("c", "gone")})
	if len(l.queue) != 1 || l.queue[0].cancel == nil {
		t.Errorf("jobs: %v", l.queue)
	}
}

func TestMatters(t *testing.T) {
	pool := func(generation int64, ready metav1.ConditionStatus, cpu string) *v1alpha1.NodePool {
		p := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Generation: generation, ResourceVersion: cpu}}
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready}}
		p.Status.Resources = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		return p
	}
	for _, tt := range []struct {
		name     string
		old, now *v1alpha1.NodePool
		want     bool
	}{
		{"its nodes were counted", pool(1, "True", "1"), pool(1, "True", "2"), false},
		{"its spec changed", pool(1, "True", "1"), pool(2, "True", "1"), true},
		{"it turned ready", pool(1, "False", "1"), pool(1, "True", "1"), true},
		{"it was judged for the first time", &v1alpha1.NodePool{}, pool(0, "True", "1"), true},
	} {
		if got := matters(tt.old, tt.now); got != tt.want {
			t.Errorf("%s: matters = %v", tt.name, got)
		}
	}
}
