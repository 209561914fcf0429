// Package replicas owns NodePools of a fixed size, those with spec.replicas: it launches the
// nodes that such a pool lacks, whatever pods there are, and says of which it has too many.
//
//	            fewer than replicas, or some that are being replaced
//	pool ────────────────────────────────────────────────────────────▶ NodeClaims, without pods
//	  │         more
//	  └────────────────▶ claims that never came: deleted
//	                     nodes that are needed least: condition Surplus ──▶ package reallocate
//
// A node that is being replaced does not count any more, so that its substitute is there
// before it goes; spec.limits bounds how many there are meanwhile. Pods use the nodes as any
// others, but package allocate launches none here for them, and nothing removes them for being
// empty.
//
// What is to be done is decided by what the API server has, not the cache: nothing is launched
// twice because a write does not show yet.
package replicas
