package allocate

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNodesGivenBack: a pod that every node turns out unable to take is planned for again at
// once the first time, then less and less often, until it runs.
func TestNodesGivenBack(t *testing.T) {
	l := newLoop(t, waiting("a"))
	giveBack := func(n int) *entry {
		t.Helper()
		claim := initialized(launched("a"))
		claim.Name, claim.UID = fmt.Sprintf("c%d", n), types.UID(fmt.Sprintf("c%d", n))
		l.observe(event{claim: claim})
		if e := l.pods["a"]; e == nil || e.Phase != Ready {
			t.Fatalf("node %d is not ready for the pod", n)
		}
		l.release([]Release{{Pod: "a", Claim: claim.Name, Reason: "too few volumes"}})
		l.reserve([]*corev1.Pod{waiting("a")})
		return l.pods["a"]
	}
	if e := giveBack(1); e.Phase != Waiting {
		t.Fatalf("the pod is %s after the first node", e.Phase)
	}
	var before time.Duration
	for n := 2; n < 6; n++ {
		e := giveBack(n)
		patience := time.Until(e.notBefore)
		if e.Phase != Unlaunchable || e.Reason != "gave back the node it got before: too few volumes" || patience <= before {
			t.Errorf("the pod is %s (%s) for %s after node %d, %s the time before", e.Phase, e.Reason, patience, n, before)
		}
		before = patience
	}
	l.observe(event{pod: waiting("a", onNode("n"))})
	if len(l.handBacks) != 0 {
		t.Errorf("remembered: %v", l.handBacks)
	}
}

func TestHandBacksAreBoundedAndAge(t *testing.T) {
	h, now := handBacks{}, time.Now()
	h.note("a", "", 2, now)
	h.note("b", "", 2, now.Add(time.Minute))
	h.note("c", "", 2, now.Add(time.Minute))
	if _, ok := h["c"]; ok || len(h) != 2 {
		t.Errorf("remembered: %v", h)
	}
	if got := h.of("a", now.Add(returnsFor+time.Second)).times; got != 0 {
		t.Errorf("%d times, and it is long ago", got)
	}
	h.note("c", "", 2, now.Add(returnsFor+time.Second))
	if h.of("c", now.Add(returnsFor+time.Second)).times != 1 || len(h) != 2 {
		t.Errorf("remembered: %v", h)
	}
}
