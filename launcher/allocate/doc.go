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
// Pods of a group get reservations together or not at all (gather.go). In Waiting they may
// be left out of plans until enough have come; a plan without room for enough is made again
// without them (together.go); where a claim fails and leaves too few, the others go back to
// Waiting with its pods, and from Launched they get to Ready together. What is on its way
// for a group that cannot be completed is returned. It holds at any time that no node is
// used for too few; that none is bought holds but for nodes whose launches were under way
// when another's failed, as each is a call of its own.
//
// A second goroutine (planner.go) does what takes time: it plans a batch with fit and
// pack and writes the NodeClaims. The reservation itself is durable in the NodeClaim; what
// is in memory is rebuilt from the claims and from what the schedulers ask again.
package allocate
