package v1alpha1

import (
	"strings"
	"time"
)

// When EC2 begins to terminate what runs in a capacity block, before the block ends. Instances of
// UltraServers it expects to be gone by then.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
const (
	blockEnds            = 30 * time.Minute
	ultraServerBlockEnds = time.Hour
)

// BlockClosing is how long before its instances end a capacity block is left: nothing is launched into
// it any more, and its nodes are drained.
const BlockClosing = 10 * time.Minute

// InstancesEndAt is when EC2 begins to terminate what runs in the reservation; the zero time where
// it does not: what runs in a reservation of the default type runs on.
func (r *CapacityReservation) InstancesEndAt() time.Time {
	switch {
	case r.EndTime == nil || r.Type != ReservationTypeCapacityBlock:
		return time.Time{}
	case strings.HasPrefix(r.InstanceType, "p6e-"):
		return r.EndTime.Add(-ultraServerBlockEnds)
	}
	return r.EndTime.Add(-blockEnds)
}

// Closes is when nothing is to be launched into the reservation any more; the zero time where it
// has no end.
func (r *CapacityReservation) Closes() time.Time {
	if ends := r.InstancesEndAt(); !ends.IsZero() {
		return ends.Add(-BlockClosing)
	}
	if r.EndTime != nil {
		return r.EndTime.Time
	}
	return time.Time{}
}
