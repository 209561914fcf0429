// Package cluster owns the launcher's view of what exists and what is on its way:
// nodes with their pods, and NodeClaims. Several parts read it; only informers write
// it.
package cluster
