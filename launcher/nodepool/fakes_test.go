package nodepool

import (
	"context"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// fakeCloud is a Resolver and Catalog that answers what it was told to.
type fakeCloud struct {
	mu       sync.Mutex
	status   v1alpha1.EC2NodeClassStatus
	err      error
	types    []offering.Type
	typesErr error
	resolved map[string]int // calls by class name
}

func (f *fakeCloud) Resolve(_ context.Context, class *v1alpha1.EC2NodeClass) (v1alpha1.EC2NodeClassStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resolved == nil {
		f.resolved = map[string]int{}
	}
	name := ""
	if class != nil {
		name = class.Name
	}
	f.resolved[name]++
	return *f.status.DeepCopy(), f.err
}

func (f *fakeCloud) Types(context.Context, *v1alpha1.EC2NodeClass) ([]offering.Type, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.types, f.typesErr
}

func (f *fakeCloud) answer(status v1alpha1.EC2NodeClassStatus, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.err = status, err
}

func (f *fakeCloud) calls(class string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resolved[class]
}

func t3Medium() offering.Type {
	return offering.Type{
		Name: "t3.medium",
		Labels: map[string]string{
			corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux", corev1.LabelInstanceTypeStable: "t3.medium",
		},
		Offerings: []offering.Offering{
			{Zone: "us-east-1a", CapacityType: v1alpha1.CapacityTypeOnDemand, Price: 0.0416},
			{Zone: "us-east-1b", CapacityType: v1alpha1.CapacityTypeOnDemand, Price: 0.0416},
		},
	}
}

// found is a class's status with one of each.
func found() v1alpha1.EC2NodeClassStatus {
	return v1alpha1.EC2NodeClassStatus{
		Subnets:        []v1alpha1.Subnet{{ID: "subnet-0", Zone: "us-east-1a"}},
		SecurityGroups: []v1alpha1.SecurityGroup{{ID: "sg-0"}},
		AMIs:           []v1alpha1.AMI{{ID: "ami-0", Architecture: "amd64"}},
	}
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func fakeClient(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	return fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.NodePool{}, &v1alpha1.EC2NodeClass{}, &v1alpha1.NodeClaim{}).Build()
}

func testConfig(t *testing.T, cloud *fakeCloud) (Config, *events.FakeRecorder) {
	t.Helper()
	recorder := events.NewFakeRecorder(16)
	cfg := Config{
		Resolver: cloud, Catalog: cloud, Recorder: recorder,
		Clock: testclock.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	return cfg, recorder
}

// recorded empties the recorder.
func recorded(r *events.FakeRecorder) []string {
	var all []string
	for {
		select {
		case e := <-r.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}
