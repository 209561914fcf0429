package simec2

import (
	"math"
	"strconv"
	"time"
)

// spotWalk moves spot prices: every so often each pool's price takes a step up or down, by
// 4 per cent at most, and stays between 0.7 and 1.4 times what it was at first. A step
// follows from pool and number alone, so that a run can be repeated.
type spotWalk struct {
	started time.Time
	every   time.Duration // 0: prices do not move
}

const (
	walkStep  = 0.04
	walkLeast = 0.7
	walkMost  = 1.4
)

// steps is how many steps prices have taken by then.
func (w spotWalk) steps(at time.Time) int {
	if w.every == 0 || at.Before(w.started) {
		return 0
	}
	return int(at.Sub(w.started) / w.every)
}

// time is when a step was taken.
func (w spotWalk) time(step int) time.Time { return w.started.Add(time.Duration(step) * w.every) }

// factors are those of a pool's price after each of the steps from one to another.
func (w spotWalk) factors(instanceType, zone string, from, to int) []float64 {
	var out []float64
	factor := 1.0
	for step := 0; ; step++ {
		if step > 0 {
			draw := float64(hash64("walk", instanceType, zone, strconv.Itoa(step))%2001)/1000 - 1
			factor = min(max(factor*(1+walkStep*draw), walkLeast), walkMost)
		}
		if step >= from {
			out = append(out, factor)
		}
		if step >= to {
			return out
		}
	}
}

// spotPrice is the price in force: a fixed share of the on-demand price, between 28 and 46
// per cent, that differs by type and zone, and moves if the region's prices do.
func (r *region) spotPrice(t InstanceType, zone string, now time.Time) float64 {
	step := r.walk.steps(now)
	return r.spotPriceAt(t, zone, r.walk.factors(t.Name, zone, step, step)[0])
}

func (r *region) spotPriceAt(t InstanceType, zone string, factor float64) float64 {
	share := 0.28 + 0.18*float64(hash64(t.Name, zone)%1000)/1000
	return math.Round(t.OnDemand*share*factor*1e4) / 1e4
}
