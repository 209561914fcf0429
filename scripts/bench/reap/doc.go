// Package reap owns the benchmark of mass emptiness: many nodes lose their only pod at once,
// and nothing but the pool's consolidateAfter keeps them.
//
// All times come from outside the daemons and from one clock, that of this process, by
// watches of its own (scripts/observe). A budget that is missed is reported; a node that
// stays is an error.
package reap
