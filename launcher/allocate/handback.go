package allocate

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A pod may give back a node that is ready because that cannot take it after all: it has other
// labels than predicted, say, or too few volumes can be attached. The first time it is planned
// for again at once, as something may have been learnt from the node. Where that repeats itself
// each time would cost a node, so it is planned for with patience.

// returnsFor is how long it is remembered that a pod gave a node back.
const returnsFor = time.Hour

// handBacks are how often pods in a row gave ready nodes back.
type handBacks map[types.UID]handBack

type handBack struct {
	times  int
	last   time.Time
	reason string
}

// note counts one more. Of so many pods nothing is known beyond most; the oldest go first, by
// their age.
func (h handBacks) note(pod types.UID, reason string, most int, now time.Time) {
	if len(h) >= most {
		maps.DeleteFunc(h, func(_ types.UID, b handBack) bool { return now.Sub(b.last) > returnsFor })
	}
	if _, known := h[pod]; known || len(h) < most {
		h[pod] = handBack{h.of(pod, now).times + 1, now, reason}
	}
}

// of returns how often a pod did.
func (h handBacks) of(pod types.UID, now time.Time) handBack {
	if b := h[pod]; now.Sub(b.last) <= returnsFor {
		return b
	}
	return handBack{}
}

// patient parks a pod that gave back more than one node in a row, and reports whether it did.
func (l *loop) patient(e *entry, now time.Time) bool {
	b := l.handBacks.of(e.UID, now)
	if b.times < 2 {
		return false
	}
	e.failures = b.times - 2
	l.refuseFor(e, "gave back the node it got before: "+b.reason, now)
	return true
}
