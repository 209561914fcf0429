package nodepool

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

var errThrottled = errors.New("throttled")

func TestClassStatus(t *testing.T) {
	without := func(part string, message string) v1alpha1.EC2NodeClassStatus {
		s := found()
		switch part {
		case v1alpha1.ConditionSubnetsReady:
			s.Subnets = nil
		case v1alpha1.ConditionAMIsReady:
			s.AMIs = nil
		}
		s.Conditions = []metav1.Condition{{Type: part, Status: metav1.ConditionFalse, Reason: "PermissionDenied", Message: message}}
		return s
	}
	for _, tt := range []struct {
		name   string
		before *v1alpha1.EC2NodeClass
		status v1alpha1.EC2NodeClassStatus
		err    error
		want   map[string]string // condition: status reason
		events int
		again  bool // fails, to be tried again with backoff
	}{
		{
			name: "all found", before: newClass(), status: found(),
			want: map[string]string{"Ready": "True Ready", "SubnetsReady": "True Resolved", "SecurityGroupsReady": "True Resolved", "AMIsReady": "True Resolved"},
		},
		{
			name: "no subnets, says the resolver", before: newClass(),
			status: without(v1alpha1.ConditionSubnetsReady, "may not describe subnets"), err: errors.New("denied"), events: 1,
			want: map[string]string{"Ready": "False PermissionDenied", "SubnetsReady": "False PermissionDenied", "SecurityGroupsReady": "True Resolved", "AMIsReady": "True Resolved"},
		},
		{
			name: "nothing at all, and no word on why", before: newClass(), status: v1alpha1.EC2NodeClassStatus{}, events: 1,
			want: map[string]string{"Ready": "False NotFound", "SubnetsReady": "False NotFound", "SecurityGroupsReady": "False NotFound", "AMIsReady": "False NotFound"},
		},
		{
			name: "broken as before", before: newClass(notReady("PermissionDenied", "may not")),
			status: without(v1alpha1.ConditionAMIsReady, "may not"), err: errors.New("denied"),
			want: map[string]string{"Ready": "False PermissionDenied", "SubnetsReady": "True Resolved", "SecurityGroupsReady": "True Resolved", "AMIsReady": "False PermissionDenied"},
		},
		{
			name: "cloud does not answer at first", before: newClass(), err: errThrottled, again: true,
			want: map[string]string{"Ready": "Unknown ResolveFailed"},
		},
		{
			name: "cloud does not answer later", before: newClass(ready()), err: errThrottled, again: true,
			want: map[string]string{"Ready": "True Ready"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, recorder := testConfig(t, &fakeCloud{status: tt.status, err: tt.err})
			r := &classReconciler{Config: cfg, client: fakeClient(t, tt.before)}
			result, err := r.Reconcile(t.Context(), requestFor("class"))
			if (err != nil) != tt.again {
				t.Fatalf("got error %v", err)
			}
			got := &v1alpha1.EC2NodeClass{}
			if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(tt.before), got); err != nil {
				t.Fatal(err)
			}
			conditions := map[string]string{}
			for _, c := range got.Status.Conditions {
				conditions[c.Type] = string(c.Status) + " " + c.Reason
			}
			if diff := cmp.Diff(tt.want, conditions); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if events := recorded(recorder); len(events) != tt.events {
				t.Errorf("events %q, want %d", events, tt.events)
			}
			switch ready := meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.ConditionReady); {
			case tt.again:
			case ready && result.RequeueAfter != cfg.ResolveEvery:
				t.Errorf("resolves again after %v", result.RequeueAfter)
			case !ready && result.RequeueAfter != cfg.RetryEvery:
				t.Errorf("tries again after %v", result.RequeueAfter)
			}
			if !tt.again {
				if diff := cmp.Diff(tt.status.Subnets, got.Status.Subnets); diff != "" {
					t.Errorf("subnets (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestClassChangedWhileCloudFails: what was resolved for another spec is not passed off as ready.
func TestClassChangedWhileCloudFails(t *testing.T) {
	class := newClass(ready())
	class.Generation = 2
	cfg, _ := testConfig(t, &fakeCloud{err: errThrottled})
	r := &classReconciler{Config: cfg, client: fakeClient(t, class)}
	if _, err := r.Reconcile(t.Context(), requestFor("class")); !errors.Is(err, errThrottled) || !strings.Contains(err.Error(), "ec2nodeclass class") {
		t.Fatalf("got %v", err)
	}
	if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(class), class); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady); c.Status != metav1.ConditionUnknown {
		t.Errorf("got %+v", c)
	}
}

func TestConfig(t *testing.T) {
	cfg, _ := testConfig(t, &fakeCloud{})
	for name, spoil := range map[string]func(*Config){
		"no resolver":     func(c *Config) { c.Resolver = nil },
		"no catalog":      func(c *Config) { c.Catalog = nil },
		"no recorder":     func(c *Config) { c.Recorder = nil },
		"no clock":        func(c *Config) { c.Clock = nil },
		"negative period": func(c *Config) { c.ResolveEvery = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := cfg
			spoil(&bad)
			if err := bad.setDefaults(); !errors.Is(err, ErrConfig) {
				t.Errorf("got %v, want ErrConfig", err)
			}
		})
	}
}
