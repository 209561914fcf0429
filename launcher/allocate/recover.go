package allocate

import (
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// recoverFor is how long plans wait for what earlier leaders bought without writing down for
// whom. Its launch is repeated at once, and tells what it is.
const recoverFor = 10 * time.Second

// recover reads the reservations that earlier leaders made.
func (l *loop) recover() error {
	var claims v1alpha1.NodeClaimList
	if err := l.cfg.Client.List(l.ctx, &claims); err != nil {
		return fmt.Errorf("recover reservations: %w", err)
	}
	l.recoverBy = time.Now().Add(recoverFor)
	// Where two claims name one pod, the newer one holds it.
	slices.SortFunc(claims.Items, func(a, b v1alpha1.NodeClaim) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	for i := range claims.Items {
		l.claimSeen(&claims.Items[i])
	}
	l.recovered = true
	l.log.Info("reservations recovered", "nodeclaims", len(claims.Items), "pods", len(l.pods))
	return nil
}

// inherited tells whether a claim may be for pods that only an earlier leader knew: it was
// written for pods to come, who took their seats, and that was not written yet. They come
// anew, from their scheduler, and get its room once it is launched.
func (l *loop) inherited(r *record, now time.Time) bool {
	c := r.claim
	return r.inherited && now.Before(l.recoverBy) && c.Status.InstanceID == "" && int(c.Spec.ExpectedPods) > len(c.Status.Added)
}

// recovering returns until when a plan must wait for inherited claims, at the latest; zero
// when it need not. Those that are not launched by then are for nobody.
func (l *loop) recovering(now time.Time) (until time.Time) {
	if l.recoverBy.IsZero() {
		return time.Time{}
	}
	for _, r := range l.claims {
		switch {
		case r.leaving || !r.inherited:
		case l.inherited(r, now):
			until = l.recoverBy
		default:
			r.inherited = false
			l.cancelIfUnneeded(r, "the pods it was for did not come")
		}
	}
	if until.IsZero() {
		l.recoverBy = until
	}
	return until
}
