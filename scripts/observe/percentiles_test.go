package observe_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/scripts/observe"
)

func TestPercentiles(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, tt := range []struct {
		name string
		in   []time.Duration
		want observe.Percentiles
	}{
		{"none", nil, observe.Percentiles{}},
		{"one", []time.Duration{time.Millisecond}, observe.Percentiles{P50: 1, P99: 1}},
		{"a hundred, unsorted", hundred, observe.Percentiles{P50: 50, P99: 99}},
	} {
		if diff := cmp.Diff(tt.want, observe.PercentilesOf(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
