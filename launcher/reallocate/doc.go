// Package reallocate owns the slow loop: the removal of nodes that need not be there.
// Each method is a file of its own (emptiness.go); budgets.go bounds how many nodes of
// a pool may be on their way out at once, whatever the method.
//
// All decisions are made by one goroutine, the only worker of its controller: two
// nodes cannot both take the last place in a budget. The package never terminates
// anything itself; it deletes NodeClaims, whose termination drains the node.
package reallocate
