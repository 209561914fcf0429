// Package allocate owns the fast loop: pods that fit nowhere come in, NodeClaims come
// out, and every pod's reservation is told to whoever watches.
//
// One goroutine (loop.go) owns what is known of each pod:
//
//	           Reserve                    plan written
//	(unknown) ─────────▶ Waiting ────────────────────────▶ Planned ─▶ Launched ─▶ Ready
//	                      ▲  │                                │          │          │
//	    pools, classes or │  │ fits nowhere                   └──────────┴──────────┤
//	    offerings changed │  ▼                                                      │
//	                     Unlaunchable ◀── claim refused ── claim fails or is deleted│
//	                      │                        │  (capacity: at once to Waiting)│
//	                      ▼                        ▼                                ▼
//	                    (ended: bound, deleted, released) ◀─────────────────────────┘
//
// A second goroutine (planner.go) does what takes time: it plans a batch with fit and
// pack and writes the NodeClaims. The reservation itself is durable in the NodeClaim; what
// is in memory is rebuilt from the claims and from what the schedulers ask again.
package allocate
