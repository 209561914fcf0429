package nodeclaim

import (
	"sync"
	"time"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// lookAfter is from which age of a claim on a provider looks for what was bought for it before
// it buys (cloud.Provider.Launch).
const lookAfter = time.Minute

// doubts remembers, by the name of a claim, when the outcome of its launch was last unknown. Its
// zero value is ready for use.
type doubts struct {
	mu     sync.Mutex
	byName map[string]time.Time
}

func (d *doubts) note(name string, since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byName == nil {
		d.byName = map[string]time.Time{}
	}
	d.byName[name] = since
}

// of is the zero time where there is none.
func (d *doubts) of(name string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byName[name]
}

func (d *doubts) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byName, name)
}

// since returns from when on it is in doubt what was bought for claims whose launch failed with
// this error, if a call had an unknown outcome: its answer may have been lost after it was carried
// out. before is what was known until now. An earlier process may have made that call, in which
// case the claims' conditions tell.
func (l *launcher) since(before time.Time, err error, final bool, claims ...*v1alpha1.NodeClaim) time.Time {
	if err != nil && !final && passing(err) == reasonLaunchFailing {
		return l.clock.Now()
	}
	if before.IsZero() {
		for _, claim := range claims {
			if hasReason(claim, v1alpha1.ConditionLaunched, reasonLaunchFailing) {
				return l.clock.Now()
			}
		}
	}
	return before
}

// doubtful tells whether a refusal proves nothing yet, as the provider's call would not have
// found what one before it has bought.
func (l *launcher) doubtful(since time.Time) bool {
	return !since.IsZero() && l.clock.Since(since) < lookAfter+l.settle
}
