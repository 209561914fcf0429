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
// A batch is planned as soon as no more is to be known of its pods' siblings. Those that
// their owners are certain to create (lookahead.go) are planned for with them; they take
// the seats on the claims as they come, straight to Planned.
//
// A second goroutine (planner.go) does what takes time: it plans a batch with fit and
// pack and writes the NodeClaims. The reservation itself is durable in the NodeClaim; what
// is in memory is rebuilt from the claims and from what the schedulers ask again.
package allocate
