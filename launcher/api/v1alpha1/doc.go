// Package v1alpha1 owns the types of the API group slipway.dev: NodePool (what
// may be launched), EC2NodeClass (how it looks on EC2) and NodeClaim (the durable
// record of one node, from decision to termination).
//
// Field names and meanings follow Karpenter v1, so that what its users know
// carries over. A field that this version does not act on yet has its schema and is
// refused by validation, never ignored.
//
// +kubebuilder:object:generate=true
// +groupName=slipway.dev
package v1alpha1
