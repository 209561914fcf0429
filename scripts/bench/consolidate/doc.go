// Package consolidate owns the benchmark of consolidation: what package consolidate makes of
// large clusters that are used to less than a third, on a simulated clock and in memory.
//
// A cluster is made as one grows and shrinks: Deployments are rolled out in batches, each of which
// gets the nodes that a plan buys for it at real prices, and then scaled down at random. Then
// the clock starts. Every so often the cluster is looked at, and what is decided is carried out
// as package allocate does: planned anew for all nodes that go together, given up where it
// does not pay, within the budget, and with the time that nodes take to boot and to drain. Pods
// go where they are planned.
package consolidate
