package allocate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/market"
)

// launched is a claim whose node is yet to come.
func launched(pods ...string) *v1alpha1.NodeClaim {
	c := claimFor("c", pods...)
	c.UID, c.ResourceVersion = "c", "5"
	c.Status.InstanceType, c.Status.InstanceID, c.Status.NodeName, c.Status.Zone = "t3.medium", "i-1", "node-c", "a"
	c.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
	return c
}

func initialized(c *v1alpha1.NodeClaim) *v1alpha1.NodeClaim {
	c = c.DeepCopy()
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionInitialized, Status: metav1.ConditionTrue, Reason: "Initialized"})
	return c
}

func giving(c *v1alpha1.NodeClaim, version string, pods ...string) *v1alpha1.NodeClaim {
	c = c.DeepCopy()
	c.ResourceVersion = version
	for _, p := range pods {
		c.Status.Added = append(c.Status.Added, v1alpha1.ReservedPod{UID: types.UID(p), Namespace: "default", Name: p})
	}
	return c
}

func returned(c *v1alpha1.NodeClaim, pod types.UID) *v1alpha1.NodeClaim {
	c.Status.Released = append(c.Status.Released, pod)
	return c
}

// TestNodeIsReadyBeforePlanIsHeard: what the planner wrote is no news by the time it is
// heard of. A node that is ready stays so.
func TestNodeIsReadyBeforePlanIsHeard(t *testing.T) {
	l := newLoop(t, waiting("a"), waiting("b"))
	claim := launched("a")
	l.observe(event{claim: claim})
	l.reserve([]*corev1.Pod{waiting("b")})
	l.plan("test")
	written := giving(claim, "6", "b")
	ready := initialized(written)
	ready.ResourceVersion = "10"
	l.observe(event{claim: ready})
	l.planned(result{grown: []*v1alpha1.NodeClaim{written}})
	for _, pod := range []types.UID{"a", "b"} {
		if e := l.pods[pod]; e.Phase != Ready {
			t.Errorf("pod %s is %s", pod, e.Phase)
		}
	}
	if got := l.claims["c"].claim.ResourceVersion; got != "10" {
		t.Errorf("the claim went back to version %s", got)
	}
}

// TestReleasedWhileOthersAreAdded: who gives room back while others get some does not get
// it again.
func TestReleasedWhileOthersAreAdded(t *testing.T) {
	l := newLoop(t, waiting("a"), waiting("b"), waiting("q"))
	claim := giving(launched("a"), "5", "q")
	l.observe(event{claim: claim})
	l.reserve([]*corev1.Pod{waiting("b")})
	l.plan("test")
	l.release([]Release{{Pod: "q", Claim: "c", Reason: "displaced"}})
	l.reserve([]*corev1.Pod{waiting("q")})
	l.planned(result{grown: []*v1alpha1.NodeClaim{giving(claim, "6", "b")}})
	if e := l.pods["q"]; e.Phase != Waiting || e.Claim != "" {
		t.Errorf("pod q is %s on %q, want waiting", e.Phase, e.Claim)
	}
	if e := l.pods["b"]; e.Claim != "c" {
		t.Errorf("pod b is %s on %q, want on c", e.Phase, e.Claim)
	}
}

// registered is the Node of a launched claim.
func registered(cordoned bool) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-c"}, Spec: corev1.NodeSpec{Unschedulable: cordoned}}
}

func TestRoomsOfClaims(t *testing.T) {
	for _, tt := range []struct {
		name     string
		claim    *v1alpha1.NodeClaim
		node     *corev1.Node // that has registered; nil: none
		wantOn   []string     // pods that hold a place
		wantRoom bool
	}{
		{"on its way", launched("a", "b"), nil, []string{"a", "b"}, true},
		{"a pod that is planned for was released a moment ago", launched("a", "p"), nil, []string{"a"}, true},
		{"it could not take a pod that is planned for", returned(launched("a", "p"), "p"), nil, []string{"a"}, false},
		{"it could not take another pod", returned(launched("a", "q"), "q"), nil, []string{"a"}, true},
		{"not launched yet", claimFor("c", "a"), nil, []string{"a"}, false},
		{"its node was ready and is gone", initialized(launched("a")), nil, []string{"a"}, false},
		{"its node has registered", launched("a"), registered(false), []string{"a"}, true},
		{"its node was cordoned before it was ready", launched("a"), registered(true), []string{"a"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := []client.Object{waiting("a"), waiting("b"), waiting("p")}
			if tt.node != nil {
				objects = append(objects, tt.node)
			}
			p, _ := newPlanner(t, interceptor.Funcs{}, objects...)
			v := &view{Market: &market.Market{}, rooms: map[string]*v1alpha1.NodeClaim{}, guessed: map[string]func(string) bool{}}
			if err := p.addNodes(t.Context(), v, batch{claims: []*v1alpha1.NodeClaim{tt.claim}}, sets.New[types.UID]("p")); err != nil {
				t.Fatal(err)
			}
			var on []string
			for _, pod := range v.nodes[0].Pods {
				on = append(on, pod.GetPod().Name)
			}
			if diff := cmp.Diff(tt.wantOn, on); diff != "" {
				t.Errorf("pods on the node (-want +got):\n%s", diff)
			}
			if got := len(v.rooms) > 0; got != tt.wantRoom {
				t.Errorf("takes more pods: %v", got)
			}
		})
	}
}

// TestZoneIsKnown: pods that depend on where a claim is launched are planned for again once it
// is, or will not be.
func TestZoneIsKnown(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell func(*loop)
		want Phase
	}{
		{"it is launched", func(l *loop) { l.observe(event{claim: launched("a")}) }, Waiting},
		{"it is gone", func(l *loop) { l.observe(event{claim: claimFor("c", "a"), gone: true}) }, Waiting},
		{"another pod is added", func(l *loop) { l.observe(event{claim: giving(claimFor("c", "a"), "2", "x")}) }, Unlaunchable},
	} {
		for _, late := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, while planning %v", tt.name, late), func(t *testing.T) {
				l := newLoop(t, waiting("a"), waiting("b"))
				l.observe(event{claim: claimFor("c", "a")})
				l.reserve([]*corev1.Pod{waiting("b")})
				l.plan("test")
				parked := result{unplaced: []fit.Unplaced{{Pod: waiting("b"), Reasons: []string{"its zone is not known"}, Awaits: true}}}
				if late {
					tt.tell(l)
					l.planned(parked)
				} else {
					l.planned(parked)
					tt.tell(l)
				}
				if got := l.pods["b"].Phase; got != tt.want {
					t.Errorf("pod b is %s, want %s", got, tt.want)
				}
			})
		}
	}
}

// TestSchedulerIsGone: pods that an earlier leader reserved for may be of a scheduler that
// is configured no more.
func TestSchedulerIsGone(t *testing.T) {
	p, _ := newPlanner(t, interceptor.Funcs{}, waiting("a"))
	r := p.plan(t.Context(), batch{pods: []*corev1.Pod{waiting("a")}})
	if len(r.unplaced) != 1 || !strings.Contains(r.unplaced[0].Reasons[0], "slipway-scheduler") {
		t.Errorf("unplaced: %v", r.unplaced)
	}
}
