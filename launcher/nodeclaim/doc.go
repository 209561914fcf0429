// Package nodeclaim owns the life of a NodeClaim, from the decision to buy a node
// until nothing of it is left. It is the only caller of cloud.Provider's Launch and
// Terminate.
//
//	           launch               registration          initialization
//	(new) ───────────────▶ Launched ────────────▶ Registered ───────────▶ Initialized
//	  │                       │                       │                       │
//	  │ rejected, timed out   │ timed out, gone       │ timed out, gone       │ deleted
//	  ▼                       ▼                       ▼                       ▼
//	abandon ─────────────▶ termination: cordon, drain, terminate, remove Node and claim
//	         if bought
//
// Each phase is a reconciler of its own, and a claim's state names the one that owns
// it, so that no two act on one claim at the same time:
//
//	Launched is not True                launch (abandon, when the claim is being deleted)
//	Launched is True                    registration and initialization
//	Launched is True, being deleted     termination
//
// interruption stands beside these: it writes down what the cloud says it will do to an
// instance, and deletes the claim once its pods have room elsewhere, or no time is left.
//
// Claims of a fleet are launched together: whichever of them is reconciled first buys for all
// (fleet.go).
//
// Launched turns True only in launch and never back. What a crash leaves behind is
// finished by whoever owns the state that was written last; what no state speaks of
// (an instance without a claim, a claim without its instance) the garbage collector
// finds.
package nodeclaim
