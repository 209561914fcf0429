package ec2

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

func TestCached(t *testing.T) {
	down := errors.New("down")
	synctest.Test(t, func(t *testing.T) {
		var loads int
		var fail error
		c := newCached("numbers", clock.RealClock{}, nil, func(context.Context) (int, error) {
			loads++
			return loads, fail
		})
		step := func(what string, wait time.Duration, err error, want, wantLoads int, wantErr error) {
			t.Helper()
			time.Sleep(wait)
			fail = err
			got, gotErr := c.get(t.Context(), time.Minute)
			if got != want || loads != wantLoads || !errors.Is(gotErr, wantErr) {
				t.Errorf("%s: got %d, %v after %d loads; want %d, %v after %d", what, got, gotErr, loads, want, wantErr, wantLoads)
			}
		}
		step("never had one", 0, down, 0, 1, down)
		step("no pause before the first", 0, nil, 2, 2, nil)
		step("young enough", 59*time.Second, nil, 2, 2, nil)
		step("too old", time.Second, nil, 3, 3, nil)
		step("too old, none to be had", time.Minute, down, 3, 4, nil)
		step("pause after a failure", 9*time.Second, nil, 3, 4, nil)
		step("after the pause", time.Second, nil, 5, 5, nil)
	})
}

func TestCachedStandIn(t *testing.T) {
	down, none := errors.New("down"), errors.New("nothing is built in")
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		fail, standIn := down, none
		c := newCached("numbers", clock.RealClock{}, nil, func(context.Context) (int, error) { return 1, fail })
		c.standIn = func() (int, time.Time, error) { return -1, day, standIn }
		step := func(what string, wait time.Duration, want int, substituted bool, wantErrs ...error) {
			t.Helper()
			time.Sleep(wait)
			got, err := c.get(t.Context(), time.Minute)
			if got != want || (c.substituted.Load() != nil) != substituted {
				t.Errorf("%s: got %d, %v, substituted by %v; want %d", what, got, err, c.substituted.Load(), want)
			}
			for _, want := range wantErrs {
				if !errors.Is(err, want) {
					t.Errorf("%s: err = %v, want %v", what, err, want)
				}
			}
		}
		step("nothing stands in", 0, 0, false, down, none)
		standIn = nil
		step("never read", 0, -1, true)
		fail = nil
		step("pause after a failure", 9*time.Second, -1, true)
		step("after the pause", time.Second, 1, false)
		fail = down
		step("read once", time.Hour, 1, false)
	})
}

func TestCachedLoadsOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := newCached("numbers", clock.RealClock{}, nil, func(context.Context) (int, error) {
			time.Sleep(time.Second)
			loads++
			return loads, nil
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if got, err := c.get(t.Context(), time.Minute); got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		synctest.Wait()
		if _, err := c.get(impatient, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want deadline exceeded", err)
		}
		wg.Wait()
	})
}

func TestKeyedIsBounded(t *testing.T) {
	k := newKeyed[int](2)
	made := 0
	at := func(key string) {
		k.at(key, func() *cached[int] {
			made++
			return newCached[int](key, clock.RealClock{}, nil, nil)
		})
	}
	for _, key := range []string{"a", "b", "a", "c", "c"} {
		at(key)
	}
	if made != 3 || len(k.values) != 1 {
		t.Errorf("%d made, %d kept; want 3 and 1", made, len(k.values))
	}
	k.forget("c")
	at("c")
	if made != 4 {
		t.Error("a forgotten value is still there")
	}
}
