package nodepool

import (
	stdcmp "cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

func newPool(class string, requirements ...v1alpha1.Requirement) *v1alpha1.NodePool {
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "pool", Generation: 3}}
	pool.Spec.Template.Spec.Requirements = requirements
	if class != "" {
		pool.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Name: class}
	}
	return pool
}

func withBudget(pool *v1alpha1.NodePool, schedule string) *v1alpha1.NodePool {
	pool.Spec.Disruption.Budgets = []v1alpha1.Budget{{Nodes: "0", Schedule: &schedule, Duration: &metav1.Duration{Duration: time.Hour}}}
	return pool
}

func newClass(conditions ...metav1.Condition) *v1alpha1.EC2NodeClass {
	return &v1alpha1.EC2NodeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "class"},
		Status:     v1alpha1.EC2NodeClassStatus{Conditions: conditions},
	}
}

func in(key string, values ...string) v1alpha1.Requirement {
	return v1alpha1.Requirement{Key: key, Operator: v1alpha1.OpIn, Values: values}
}

func TestPoolReady(t *testing.T) {
	problem := v1alpha1.EC2NodeClassStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionSubnetsReady, Status: metav1.ConditionFalse}}}
	for _, tt := range []struct {
		name    string
		pool    *v1alpha1.NodePool
		class   *v1alpha1.EC2NodeClass
		cloud   *fakeCloud
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		{
			name: "defaults", pool: newPool(""), cloud: &fakeCloud{types: []offering.Type{t3Medium()}},
			status: metav1.ConditionTrue, reason: ReasonReady,
		},
		{
			name: "class", pool: newPool("class", in(corev1.LabelInstanceTypeStable, "t3.medium"), in(corev1.LabelTopologyZone, "us-east-1b")),
			class: newClass(ready()), cloud: &fakeCloud{types: []offering.Type{t3Medium()}},
			status: metav1.ConditionTrue, reason: ReasonReady,
		},
		{
			name: "requirement nothing can evaluate", pool: newPool("", v1alpha1.Requirement{Key: "team", Operator: "Like"}),
			status: metav1.ConditionFalse, reason: ReasonInvalidRequirements, message: `key team: operator "Like" is unknown`,
		},
		{
			name: "budget at no time there is", pool: withBudget(newPool(""), "0 24 * * *"),
			status: metav1.ConditionFalse, reason: ReasonInvalidBudget, message: `spec.disruption.budgets[0]: invalid schedule: "0 24 * * *"`,
		},
		{
			name: "no such class", pool: newPool("class"),
			status: metav1.ConditionFalse, reason: ReasonNodeClassNotFound, message: "EC2NodeClass class does not exist; create it",
		},
		{
			name: "class not resolved yet", pool: newPool("class"), class: newClass(),
			status: metav1.ConditionUnknown, reason: ReasonNodeClassNotReady, message: "EC2NodeClass class is not resolved yet",
		},
		{
			name: "class not ready", pool: newPool("class"), class: newClass(notReady("NotFound", "no subnet matches")),
			status: metav1.ConditionFalse, reason: ReasonNodeClassNotReady, message: "EC2NodeClass class is not ready: no subnet matches",
		},
		{
			name: "class could not be resolved", pool: newPool("class"), class: newClass(unknown(ReasonResolveFailed, "throttled")),
			status: metav1.ConditionUnknown, reason: ReasonNodeClassNotReady, message: "not resolved yet: throttled",
		},
		{
			name: "defaults cannot be used", pool: newPool(""), cloud: &fakeCloud{status: problem, err: errors.New("no subnet is tagged")},
			status: metav1.ConditionFalse, reason: ReasonNodeClassNotReady, message: "the launcher's defaults cannot be used: no subnet is tagged",
		},
		{
			name: "defaults could not be resolved", pool: newPool(""), cloud: &fakeCloud{err: errors.New("throttled")},
			status: metav1.ConditionUnknown, reason: ReasonNodeClassNotReady, message: "throttled",
		},
		{
			name: "offerings unknown", pool: newPool(""), cloud: &fakeCloud{typesErr: errors.New("throttled")},
			status: metav1.ConditionUnknown, reason: ReasonOfferingsUnknown, message: "throttled",
		},
		{
			name: "no offering", pool: newPool("", in(corev1.LabelTopologyZone, "us-east-1c"), in(corev1.LabelArchStable, "amd64")),
			cloud:  &fakeCloud{types: []offering.Type{t3Medium()}},
			status: metav1.ConditionFalse, reason: ReasonNoOffering,
			message: "none of the 2 offerings of 1 instance types satisfies spec.template.spec.requirements and the defaults (kubernetes.io/os linux, slipway.dev/capacity-type on-demand)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects := []client.Object{tt.pool}
			if tt.class != nil {
				objects = append(objects, tt.class)
			}
			cfg, recorder := testConfig(t, stdcmp.Or(tt.cloud, &fakeCloud{}))
			r := &poolReconciler{Config: cfg, client: fakeClient(t, objects...)}
			result, err := r.Reconcile(t.Context(), requestFor("pool"))
			if err != nil {
				t.Fatal(err)
			}
			got := &v1alpha1.NodePool{}
			if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(tt.pool), got); err != nil {
				t.Fatal(err)
			}
			c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionReady)
			if c == nil || c.Status != tt.status || c.Reason != tt.reason || !strings.Contains(c.Message, tt.message) || c.ObservedGeneration != 3 {
				t.Errorf("got %+v\nwant %s %s: %s", c, tt.status, tt.reason, tt.message)
			}
			wantAgain := cfg.RetryEvery
			if tt.status == metav1.ConditionTrue {
				wantAgain = cfg.ResolveEvery
			}
			if result.RequeueAfter != wantAgain {
				t.Errorf("looks again after %v, want %v", result.RequeueAfter, wantAgain)
			}
			events := recorded(recorder)
			if broken := tt.status == metav1.ConditionFalse; broken != (len(events) == 1) ||
				broken && !strings.HasPrefix(events[0], "Warning "+tt.reason+" ") {
				t.Errorf("events %q", events)
			}
			if _, err := r.Reconcile(t.Context(), requestFor("pool")); err != nil {
				t.Fatal(err)
			}
			if again := recorded(recorder); len(again) > 0 {
				t.Errorf("told twice: %q", again)
			}
		})
	}
}

func TestPoolGone(t *testing.T) {
	cfg, _ := testConfig(t, &fakeCloud{})
	r := &poolReconciler{Config: cfg, client: fakeClient(t)}
	if result, err := r.Reconcile(t.Context(), requestFor("pool")); err != nil || result.RequeueAfter != 0 {
		t.Errorf("got %v, %v", result, err)
	}
}

func TestPoolResources(t *testing.T) {
	claim := func(name, pool string, requests, allocatable corev1.ResourceList, conditions ...metav1.Condition) client.Object {
		return &v1alpha1.NodeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.NodeClaimSpec{NodePool: pool, Requests: requests},
			Status:     v1alpha1.NodeClaimStatus{Allocatable: allocatable, Conditions: conditions},
		}
	}
	cpu := func(q string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(q)}
	}
	for _, tt := range []struct {
		name   string
		claims []client.Object
		want   map[string]string
	}{
		{"none", nil, map[string]string{"nodes": "0"}},
		{"allocatable over requests", []client.Object{claim("a", "pool", cpu("1"), cpu("1930m"))}, map[string]string{"nodes": "1", "cpu": "1930m"}},
		{"planned", []client.Object{claim("a", "pool", cpu("1"), nil), claim("b", "pool", nil, cpu("3"))}, map[string]string{"nodes": "2", "cpu": "4"}},
		{"another pool's", []client.Object{claim("a", "other", nil, cpu("1"))}, map[string]string{"nodes": "0"}},
		{"terminated", []client.Object{claim("a", "pool", nil, cpu("1"), metav1.Condition{
			Type: v1alpha1.ConditionInstanceTerminated, Status: metav1.ConditionTrue, Reason: "Gone", LastTransitionTime: metav1.NewTime(time.Unix(0, 0)),
		})}, map[string]string{"nodes": "0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, _ := testConfig(t, &fakeCloud{types: []offering.Type{t3Medium()}})
			pool := newPool("")
			pool.Status.Resources = cpu("77") // from before
			r := &poolReconciler{Config: cfg, client: fakeClient(t, append(tt.claims, pool)...)}
			if _, err := r.Reconcile(t.Context(), requestFor("pool")); err != nil {
				t.Fatal(err)
			}
			if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for name, q := range pool.Status.Resources {
				got[string(name)] = q.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
		})
	}
}
