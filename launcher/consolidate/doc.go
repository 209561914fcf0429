// Package consolidate owns the decision which nodes can go to save money. It is pure: a View of
// the cluster goes in, a Decision comes out; it reads nothing, writes nothing and knows no clock.
//
// # Method
//
// Every resource is worth what the market takes for it at least (worth.go): λ·capacity ≤ price
// for every offering, so that no node that holds some pods costs less than they are worth. A
// node whose pods are worth little of its price is badly used, and comes first.
//
// Two kinds of moves follow (decide.go). Vacate takes as many of these nodes together as the
// room of the others might hold the pods of, has package fit place all those pods at once by
// the real Filter plugins, and leaves out as many of the nodes without room as the pods lack:
// few plans, however many nodes. Where none can be vacated, replace plans the pods of a whole
// block of nodes onto the room of the others and new nodes; where that does not pay, of its
// halves. Nodes whose pods are worth nearly their price are not looked at: nothing cheaper holds
// those pods, so that a cluster that has been consolidated costs no plans.
//
// # What a move has to be worth
//
// For every node that goes, what is bought in its place has to cost less than Terms.Below says:
// its price, less a share of it and less an amount for each pod that moves (terms.go). What a
// move saves is therefore never less than that. The same holds when it is carried out: the
// NodeClaim carries the amount, and package allocate finds the places anew by Place, which leaves
// out nodes and buys nothing where that does not hold any more.
package consolidate
