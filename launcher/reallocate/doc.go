// Package reallocate owns the slow loop: the removal of nodes that need not be there, or not
// as they are. Each method is a file of its own (emptiness.go, expiration.go, drift.go,
// repair.go, surplus.go). remover.go goes from node to node, removal.go is the way out that all share, and
// budgets.go bounds how many nodes of a pool may be on it at once, whatever the method.
// consolidation.go looks at the whole cluster for nodes whose end saves money, which underuse.go
// then removes like others; what can go package consolidate decides.
// breaker.go decides when a pool is so unwell that none may, and pausing.go says so on it.
//
// Many nodes are looked at at the same time, each by one goroutine: the controller's queue
// sees to that. What they share are the places in the budgets (places.go), of which the last
// is given away once. The package never terminates anything itself; it deletes NodeClaims,
// whose termination drains the node.
package reallocate
