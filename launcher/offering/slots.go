package offering

import "github.com/slipway-dev/slipway/launcher/api/v1alpha1"

// Slots returns what is left of each capacity reservation among the types, by its id, when
// the claims have theirs.
//
// The Source's count is of some time ago, and others may use the reservation too. So a claim
// that is not launched counts against what was available, and every claim against the
// total: what was launched since the count is among those. Where others took instances
// meanwhile this says too much; EC2 then refuses, and the reservation is left alone for a while.
func Slots(instanceTypes []Type, claims []*v1alpha1.NodeClaim) map[string]int {
	coming, all := map[string]int{}, map[string]int{}
	for _, c := range claims {
		id := c.Status.ReservationID
		if c.Status.InstanceID == "" {
			id = c.Spec.Cheapest().ReservationID
			coming[id]++
		}
		all[id]++
	}
	left := map[string]int{}
	for _, t := range instanceTypes {
		for _, o := range t.Offerings {
			if r := o.Reservation; r != nil {
				left[r.ID] = max(0, min(r.Available-coming[r.ID], r.Total-all[r.ID]))
			}
		}
	}
	return left
}
