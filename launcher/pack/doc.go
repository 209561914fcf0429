// Package pack owns the choice of what to buy: shapes with counts and offerings with
// prices go in, a plan comes out. It is pure: it knows no Kubernetes client and no clock,
// and equal input gives an equal plan.
//
// # Method
//
// The problem is vector bin packing with bins of many types and prices. Nodes do not depend on
// each other, so the plan is made by arithmetic on counts first and becomes real afterwards.
//
// Grouping (group.go, stock.go, fits.go, fold.go). Shapes that request and fit the same become
// one item, offerings of equal capacity, price and fits one bin. A bin that another one beats
// in every respect is dropped. The bound is found for a smaller model, in which zones that
// offer the same are one.
//
// Bound (bound.go, value.go, relax.go, interior.go, rows.go, knapsack.go). The dual of the
// assignment LP prices every item and every resource of every bin. The sum of the items' worths
// is a proven lower bound on the price of any plan, and what a node's pods are worth, divided by
// its price, is at most 1 and says how much of the money is well spent. Where pods are large,
// cuts from dual-feasible functions (Fekete and Schepers 2001) account for pods being whole. The
// LP is solved by an interior-point method (Mehrotra 1992) over the few bins that matter; others
// join as long as a fractional filling of theirs would be worth more than it costs (column
// generation, Gilmore and Gomory 1961). The reported bound does not rest on the solver's
// precision: worths are cut down until they are valid for every bin (Farley 1990). For most
// bins that takes no work: what another bin charges for its resources proves them, too.
//
// Plan (search.go, ladder.go, greedy.go, fill.go). A greedy plan opens the bin with the most
// worth per price, as many alike nodes as there are pods for, and again for what is left. A
// filling takes the items that make the most of the room that is free, so that all
// resources run out together (the dot-product heuristics of Panigrahy et al. 2011). Further
// plans follow worths corrected by what pods cost in the plans before (sequential value
// correction, Belov and Scheithauer 2007).
//
// Better plans (patterns.go, whole.go, improve.go), where there is effort to be spent. The
// configuration LP over fillings with whole pods (Gilmore and Gomory 1961) says how often each
// is used; rounded, and completed by a greedy plan, that is near to the best there is, unless
// pods differ more than there are nodes. Fillings are found by branch and bound, guided by the
// bound's worths at first (smoothing, Wentges 1997). Where it ends, it has proven that no
// filling is worth more than its node, and thereby a better bound. Many items are dealt into
// blocks that are solved on their own; these prove nothing, but the large items alone may prove more than all. The cheapest plan is improved on by
// ruin and recreate (Schrimpf et al. 2000), until it is within a hair of the bound or the effort
// is spent. Every node is the cheapest that holds its pods.
//
// Reality (realize.go, rooms.go). Nodes are opened and their pods added, and Constraints has
// the last word. What it refuses goes where there is room or is planned for again, with
// what has been learned. Where limits leave pods without a place, all is planned again, one
// priority after the other.
package pack
