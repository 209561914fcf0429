package v1alpha1

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
)

// SyncColumns brings the fields of the status that only kubectl's columns show
// (a printer column can neither count nor format) in line with the rest of the
// claim. Call it before the status is written.
func (nc *NodeClaim) SyncColumns() {
	held := int32(len(nc.HeldPods())) //nolint:gosec // G115: the schema allows 512 pods
	nc.Status.ReservedPods = &held
	nc.Status.PricePerHour = ""
	if p := nc.Status.Price; p != nil {
		nc.Status.PricePerHour = "$" + strconv.FormatFloat(p.AsApproximateFloat64(), 'f', 4, 64)
	}
}

// HeldPods lists the pods that still have a reservation on the claim.
func (nc *NodeClaim) HeldPods() []ReservedPod {
	released := make(map[types.UID]bool, len(nc.Status.Released))
	for _, uid := range nc.Status.Released {
		released[uid] = true
	}
	return slices.DeleteFunc(slices.Concat(nc.Spec.Pods, nc.Status.Added), func(p ReservedPod) bool { return released[p.UID] })
}
