// Package fit owns the question which pods fit where, and lets the real scheduler
// answer it: an Engine runs the PreFilter and Filter plugins of a scheduler profile,
// arguments included, over simulated nodes.
//
// A Space is one such simulation: the nodes that exist or are on their way, the offerings
// that may be bought (Template), and the waiting pods sorted into shapes. It presents
// itself to package pack as a Problem: what fits an empty node is asked of the plugins once
// a shape and template; what depends on the plan so far (spread, affinity, ports, …) is
// asked of them again for every pod that pack puts on a node. So every pod of a plan
// has passed the real plugins, and nothing here judges in their place.
package fit
