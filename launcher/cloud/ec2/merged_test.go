package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
)

var errOdd = errors.New("odd")

// asked is a merged call that notes what it is asked; it answers an id with itself.
type asked struct {
	merged[string]
	calls [][]string
	fail  error
}

func newAsked(most int) *asked {
	a := &asked{}
	a.merged = merged[string]{clock: clock.RealClock{}, most: most, call: func(_ context.Context, ids []string) (map[string]answer[string], error) {
		a.calls = append(a.calls, slices.Clone(ids))
		answers := map[string]answer[string]{}
		for _, id := range ids {
			answers[id] = answer[string]{value: id}
			if id == "i-1" {
				answers[id] = answer[string]{err: errOdd}
			}
		}
		return answers, a.fail
	}}
	return a
}

func TestMergedCallsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(100)
		var wg sync.WaitGroup
		for _, id := range []string{"i-2", "i-1", "i-3", "i-2"} {
			wg.Go(func() {
				got, err := a.do(t.Context(), id)
				if id == "i-1" && !errors.Is(err, errOdd) || id != "i-1" && (err != nil || got != id) {
					t.Errorf("%s: %q, %v", id, got, err)
				}
			})
		}
		wg.Wait()
		if got, err := a.do(t.Context(), "i-4"); err != nil || got != "i-4" {
			t.Errorf("a later call: %q, %v", got, err)
		}
		if diff := cmp.Diff([][]string{{"i-1", "i-2", "i-3"}, {"i-4"}}, a.calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

func TestMergedCallNamesNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(4)
		var mu sync.Mutex
		call := a.call
		a.call = func(ctx context.Context, ids []string) (map[string]answer[string], error) {
			mu.Lock()
			defer mu.Unlock()
			return call(ctx, ids)
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { _, _ = a.do(t.Context(), fmt.Sprintf("i-x%d", i)) })
		}
		wg.Wait()
		sizes := []int{}
		for _, ids := range a.calls {
			sizes = append(sizes, len(ids))
		}
		slices.Sort(sizes)
		if diff := cmp.Diff([]int{2, 4, 4}, sizes); diff != "" {
			t.Errorf("sizes of calls (-want +got):\n%s", diff)
		}
	})
}

func TestMergedCallFailsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(100)
		a.fail = errOdd
		var wg sync.WaitGroup
		for _, id := range []string{"i-2", "i-3"} {
			wg.Go(func() {
				if _, err := a.do(t.Context(), id); !errors.Is(err, errOdd) {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		wg.Wait()
	})
}

// TestMergedCallOutlivesItsFirstCaller: who gives up gets its error, and others their answer.
func TestMergedCallOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(100)
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = a.do(first, "i-2") })
		synctest.Wait()
		wg.Go(func() {
			if got, err := a.do(t.Context(), "i-3"); err != nil || got != "i-3" {
				t.Errorf("%q, %v", got, err)
			}
		})
		wg.Go(func() {
			second, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := a.do(second, "i-4"); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that gave up: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}
