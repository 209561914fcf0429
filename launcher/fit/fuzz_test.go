package fit_test

import (
	"os"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// missable is the share of pods that may stay without a place the scheduler has for them.
// Pods are placed one after the other and taken back at most a few times, so where spread
// constraints of several owners count the same pods, a pod may lose its place to another.
const missable = 0.001

// TestScheduler holds the plans for random clusters against the real scheduler. It fails
// with the smallest such cluster whose plan the scheduler cannot follow.
func TestScheduler(t *testing.T) {
	seeds := 400
	if n, err := strconv.Atoi(os.Getenv("SEEDS")); err == nil {
		seeds = n
	}
	w := newWorlds(t)
	var sum tally
	for seed := range uint64(seeds) {
		s := generate(seed)
		v := w.try(s)
		sum.add(s, v)
		if len(v.wrong) > 0 {
			report(t, w, s, v)
		}
		if len(v.missed) > 0 {
			t.Logf("seed %d: missed: %q", seed, v.missed)
		}
	}
	t.Log(sum.String())
	if float64(sum.missed) > missable*float64(sum.pods) {
		t.Errorf("%d of %d pods have no place, although the scheduler has one", sum.missed, sum.pods)
	}
}

// TestOversights holds what classes are shown of random clusters against all there is.
func TestOversights(t *testing.T) {
	w := newWorlds(t)
	for seed := range uint64(400) {
		s := generate(seed)
		world := w.of(s)
		world.know(s)
		all, err := world.engine.Oversights(world.ctx, s.input())
		if err != nil || len(all) > 0 {
			t.Errorf("seed %d: %v, %v", seed, all, err)
		}
	}
}

// FuzzPod plans for anything that decodes to a pod, along with pods that make sense. Pods come
// from the API server, which validates them; this is for what it may come to accept.
func FuzzPod(f *testing.F) {
	for seed := range uint64(30) {
		for _, pod := range generate(seed).Pods {
			raw, err := pod.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	w := newWorlds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		pod := &corev1.Pod{}
		if pod.Unmarshal(raw) != nil {
			return
		}
		pod.UID = "fuzzed"
		s := generate(uint64(len(raw)) % 8)
		s.Pods = append(s.Pods, pod)
		world := w.of(s)
		world.know(s)
		plan, err := world.engine.Plan(world.ctx, s.input())
		if err != nil {
			t.Fatal(err)
		}
		placed := len(plan.Unplaced)
		for _, n := range plan.Nodes {
			placed += len(n.Pods)
		}
		for _, r := range plan.Reused {
			placed += len(r.Pods)
		}
		if placed != len(s.Pods) {
			t.Errorf("of %d pods, %d are placed or explained", len(s.Pods), placed)
		}
	})
}

// FuzzPlan looks for clusters whose plan the scheduler cannot follow.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	w := newWorlds(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		s := generate(seed)
		if v := w.try(s); len(v.wrong) > 0 {
			report(t, w, s, v)
		}
	})
}
