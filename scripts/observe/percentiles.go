package observe

import (
	"math"
	"slices"
	"time"
)

// Percentiles of durations, in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// PercentilesOf sorts the durations. Without any, the percentiles are zero.
func PercentilesOf(durations []time.Duration) Percentiles {
	slices.Sort(durations)
	return Percentiles{P50: Quantile(durations, 0.50), P99: Quantile(durations, 0.99)}
}

// Quantile returns, in milliseconds, the smallest of the sorted durations that a part q of
// them does not exceed; zero where there are none.
func Quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(len(sorted), int(math.Ceil(q*float64(len(sorted))))) - 1
	return float64(sorted[max(i, 0)].Microseconds()) / 1000
}
