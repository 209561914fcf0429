package offering

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// fakeSource tells what it was given and counts how often it was asked.
type fakeSource struct {
	mu    sync.Mutex
	types []Type
	err   error
	asked int
	gate  chan struct{} // when set, Types waits for it
}

func (s *fakeSource) Types(ctx context.Context, _ *v1alpha1.EC2NodeClass) ([]Type, error) {
	s.mu.Lock()
	s.asked++
	types, err, gate := s.types, s.err, s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return types, err
}

func (s *fakeSource) set(types []Type, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types, s.err = types, err
}

func (s *fakeSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func someTypes(price float64) []Type {
	list := func(mem string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse(mem)}
	}
	return []Type{
		{Name: "m5.large", Allocatable: list("7Gi"), Offerings: []Offering{
			{Zone: "a", CapacityType: "on-demand", Price: price, Available: true},
			{Zone: "b", CapacityType: "on-demand", Price: price, Available: true},
		}},
		{Name: "c5.large", Allocatable: list("3Gi"), Offerings: []Offering{
			{Zone: "a", CapacityType: "spot", Price: price / 2, Available: true},
		}},
	}
}

func newCatalog(t *testing.T, source Source) *Catalog {
	t.Helper()
	c, err := NewCatalog(Config{Source: source, Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runCatalog runs the catalogue until the test's bubble ends.
func runCatalog(t *testing.T, c *Catalog) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func mustTypes(t *testing.T, c *Catalog, class *v1alpha1.EC2NodeClass) []Type {
	t.Helper()
	types, err := c.Types(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func unavailable(types []Type) []Key {
	var keys []Key
	for _, t := range types {
		for _, o := range t.Offerings {
			if !o.Available {
				keys = append(keys, Key{InstanceType: t.Name, Zone: o.Zone, CapacityType: o.CapacityType})
			}
		}
	}
	return keys
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestTypesAnswersFromMemory(t *testing.T) {
	source := &fakeSource{types: someTypes(0.1)}
	c := newCatalog(t, source)
	first := mustTypes(t, c, nil)
	second := mustTypes(t, c, nil)
	if &first[0] != &second[0] {
		t.Error("the snapshot was rebuilt though nothing changed")
	}
	if source.count() != 1 {
		t.Errorf("source asked %d times, want 1", source.count())
	}
}

func TestConcurrentFirstCallsAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{types: someTypes(0.1), gate: make(chan struct{})}
		c := newCatalog(t, source)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { _, _ = c.Types(t.Context(), nil) })
		}
		synctest.Wait()
		close(source.gate)
		wg.Wait()
		if source.count() != 1 {
			t.Errorf("source asked %d times, want 1", source.count())
		}
	})
}

func TestCallerThatGivesUpLeavesNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{types: someTypes(0.1), gate: make(chan struct{})}
		c := newCatalog(t, source)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Types(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("err = %v, want deadline exceeded", err)
		}
		close(source.gate)
		mustTypes(t, c, nil)
	})
}

func TestRunRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{types: someTypes(0.1)}
		c := newCatalog(t, source)
		mustTypes(t, c, nil)
		runCatalog(t, c)
		synctest.Wait()
		changed, generation := c.Changed(), c.Generation()

		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if source.count() != 2 {
			t.Errorf("source asked %d times after one period, want 2", source.count())
		}
		if isClosed(changed) || c.Generation() != generation {
			t.Error("an unchanged list counts as a change")
		}

		source.set(someTypes(0.2), nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if !isClosed(changed) || c.Generation() == generation {
			t.Error("a new price is no change")
		}
		if got := mustTypes(t, c, nil)[0].Offerings[0].Price; got != 0.2 {
			t.Errorf("price = %v, want 0.2", got)
		}
	})
}

func TestLastGoodListSurvivesFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{types: someTypes(0.1)}
		c := newCatalog(t, source)
		mustTypes(t, c, nil)
		runCatalog(t, c)
		start := time.Now()
		source.set(nil, errors.New("EC2 is down"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()

		mustTypes(t, c, nil)
		loadedAt, err := c.Freshness(nil)
		if !loadedAt.Equal(start) || err == nil {
			t.Errorf("Freshness = %v, %v; want the start and the failure", loadedAt, err)
		}
		if n := source.count(); n < 20 || n > 40 { // every 10 s for 5 minutes
			t.Errorf("source asked %d times, want about 30", n)
		}

		source.set(someTypes(0.1), nil)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if loadedAt, err := c.Freshness(nil); err != nil || time.Since(loadedAt) > 11*time.Second {
			t.Errorf("Freshness = %v, %v; want a fresh list", loadedAt, err)
		}
	})
}

func TestFailureBeforeFirstList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("EC2 is down")
		source := &fakeSource{err: down}
		c := newCatalog(t, source)
		for range 3 {
			if _, err := c.Types(t.Context(), nil); !errors.Is(err, down) {
				t.Fatalf("err = %v, want the source's", err)
			}
		}
		if source.count() != 1 {
			t.Errorf("source asked %d times within the pause, want 1", source.count())
		}
		source.set(someTypes(0.1), nil)
		time.Sleep(10 * time.Second)
		mustTypes(t, c, nil)
	})
}

func TestClassChangeLoadsAnew(t *testing.T) {
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu", UID: "1", Generation: 1}}
	source := &fakeSource{types: someTypes(0.1)}
	c := newCatalog(t, source)
	mustTypes(t, c, class)
	mustTypes(t, c, nil)
	if source.count() != 2 {
		t.Fatalf("source asked %d times for two classes, want 2", source.count())
	}
	changed := c.Changed()
	edited := class.DeepCopy()
	edited.Generation = 2
	source.set(someTypes(0.3), nil)
	if got := mustTypes(t, c, edited)[0].Offerings[0].Price; got != 0.3 {
		t.Errorf("price = %v, want that of the edited class", got)
	}
	if !isClosed(changed) {
		t.Error("a changed class is no change")
	}
}

func TestUnusedClassIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{types: someTypes(0.1)}
		c := newCatalog(t, source)
		mustTypes(t, c, nil)
		runCatalog(t, c)
		time.Sleep(61 * time.Minute)
		synctest.Wait()
		before := source.count()
		time.Sleep(time.Hour)
		synctest.Wait()
		if source.count() != before {
			t.Error("a class nobody asks for is still refreshed")
		}
	})
}

func TestMarkUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalog(t, &fakeSource{types: someTypes(0.1)})
		mustTypes(t, c, nil)
		runCatalog(t, c)
		changed := c.Changed()
		key := Key{InstanceType: "m5.large", Zone: "b", CapacityType: "on-demand"}
		c.MarkUnavailable(key)
		if diff := cmp.Diff([]Key{key}, unavailable(mustTypes(t, c, nil))); diff != "" {
			t.Errorf("unavailable (-want +got):\n%s", diff)
		}
		if isClosed(changed) {
			t.Error("less room wakes those who wait for room")
		}

		time.Sleep(2 * time.Minute)
		c.MarkUnavailable(key) // starts anew
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]Key{key}, unavailable(mustTypes(t, c, nil))); diff != "" {
			t.Errorf("unavailable after 2 of 3 minutes (-want +got):\n%s", diff)
		}
		if isClosed(changed) {
			t.Error("woken too early")
		}
		<-changed // closed by Run when the time is up
		if got := unavailable(mustTypes(t, c, nil)); len(got) != 0 {
			t.Errorf("unavailable after 3 minutes: %v", got)
		}
	})
}
