// Package simkubelet runs a kubelet's outward half for every simulated
// instance: it reads the instance's own user data, registers the Node it
// describes, and keeps its lease. KWOK, as a library, then plays what happens on
// the node: it turns Ready, its pods run, and pods asked to end are gone.
//
// What a node offers comes from this package's own arithmetic over the machine
// as it is, not from anything the launcher predicted. When the instance goes,
// its kubelet falls silent; the Node object is left for others to remove.
package simkubelet
