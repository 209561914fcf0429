package simec2

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// Fault makes calls go wrong. A fault with neither Code nor Latency is
// refused; one with only Latency delays calls that then succeed.
type Fault struct {
	// Action is the API action to hit, such as CreateFleet or GetParameter;
	// "*" hits all.
	Action string `json:"action"`
	// Code and Message are the AWS error to answer with.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Status is the HTTP status of the error; default 400, and 503 for the
	// codes that AWS reports so.
	Status int `json:"status,omitempty"`
	// Count is the number of calls to hit; 0 is without end.
	Count int `json:"count,omitempty"`
	// Rate is the share of calls hit, above 0 up to 1; 0 means all.
	Rate float64 `json:"rate,omitempty"`
	// Latency is added to the call before it is served.
	Latency Duration `json:"latency,omitempty"`
	// AfterEffect serves the call first and then loses the answer: the
	// caller sees the error although the effect took place.
	AfterEffect bool `json:"afterEffect,omitempty"`
	// Pools makes CreateFleet succeed and report the error in its errorSet, for
	// those of the pools asked for that match; nothing is launched from them.
	Pools *PoolMatch `json:"pools,omitempty"`
}

func (f Fault) validate() error {
	switch {
	case f.Action == "":
		return fmt.Errorf("fault without an action")
	case f.Code == "" && f.Latency == 0:
		return fmt.Errorf("fault on %s has neither a code nor a latency", f.Action)
	case f.Rate < 0 || f.Rate > 1:
		return fmt.Errorf("fault on %s: rate %v is not between 0 and 1", f.Action, f.Rate)
	case f.Count < 0 || f.Latency < 0:
		return fmt.Errorf("fault on %s: negative count or latency", f.Action)
	case f.AfterEffect && f.Code == "":
		return fmt.Errorf("fault on %s: afterEffect needs a code", f.Action)
	case f.Pools != nil && (f.Action != "CreateFleet" || f.Code == "" || f.AfterEffect):
		return fmt.Errorf("fault on %s: pools are CreateFleet's, and need a code", f.Action)
	}
	return nil
}

func (f Fault) err() *apiError {
	if f.Code == "" {
		return nil
	}
	e := &apiError{code: f.Code, message: f.Message, status: f.Status}
	setDefault(&e.message, "injected fault")
	switch f.Code {
	case "RequestLimitExceeded", "ServiceUnavailable", "Unavailable":
		setDefault(&e.status, http.StatusServiceUnavailable)
	case "InternalError", "InternalFailure":
		setDefault(&e.status, http.StatusInternalServerError)
	}
	setDefault(&e.status, http.StatusBadRequest)
	return e
}

// verdict is what the faults decided for one call.
type verdict struct {
	latency time.Duration
	before  *apiError // answer with it at once
	after   *apiError // answer with it once served
	pools   []Fault   // for the answer's errorSet
}

// faults is the list in force; the caller holds the server's lock.
type faults struct {
	list []Fault
	rand *rand.Rand
}

// drop forgets the faults that are spent.
func (fs *faults) drop() {
	fs.list = slices.DeleteFunc(fs.list, func(f Fault) bool { return f.Count < 0 })
}

// judge draws for one call. Latencies add up; the first error wins.
func (fs *faults) judge(action string) verdict {
	var v verdict
	fs.drop()
	for i := range fs.list {
		f := &fs.list[i]
		if f.Action != "*" && f.Action != action {
			continue
		}
		if f.Rate > 0 && fs.rand.Float64() >= f.Rate {
			continue
		}
		if f.Code != "" && f.Pools == nil && (v.before != nil || v.after != nil) {
			continue // not hit: an earlier fault already decides this call
		}
		v.latency += time.Duration(f.Latency)
		switch {
		case f.Code == "":
		case f.Pools != nil:
			v.pools = append(v.pools, *f)
		case f.AfterEffect:
			v.after = f.err()
		default:
			v.before = f.err()
		}
		switch f.Count {
		case 0:
		case 1:
			f.Count = -1 // spent
		default:
			f.Count--
		}
	}
	return v
}
