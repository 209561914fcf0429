// Package fit owns the question which pods fit where, and lets the real scheduler
// answer it: an Engine runs the PreFilter and Filter plugins of a scheduler profile,
// arguments included, over simulated nodes, and Plan turns waiting pods into nodes to buy.
//
// # From pods to a plan
//
//	pods ──sort──▶ shapes ──judge──▶ lots ──package pack──▶ nodes ──verify──▶ plan
//
// Pods that differ in nothing a Filter reads are one shape (shape.go); shapes that differ
// only in requests and priority are one class (class.go). Templates that differ only in
// size, price and labels nobody asks for are one kind (kind.go). PreFilter runs once a
// class, Filter once a class and kind, resources left aside: those are arithmetic, and
// package pack does it. So 100,000 pods of 300 shapes cost about what 300 pods do. Of the
// pods on existing nodes PreFilter is shown those that the class counts (crowd.go).
//
// What depends on other pods is made independent of them before anything is packed. The
// plugins' own PreFilter states tell the constraints and what the cluster's pods mean for
// them (rules.go). Constraints on zones and other large domains are settled by giving every
// pod such a domain, a cell, in an order the scheduler could follow (cells.go); those on
// hosts become a bound on the company a pod bears on its node (node.go). From then on every
// node is independent of all others, and package pack may repeat, drop and exchange nodes
// as it likes (problem.go).
//
// The plugins have the last word: the plan's pods are scheduled by them, one by one, onto
// the plan's nodes. Their states are kept up to date by their own PreFilter extensions
// (replay.go); only the counts of spread, which many classes would keep of the same pods, are
// kept once for all of them (census.go). Whatever they refuse, and classes whose constraints no rule stands for
// (claimed devices, volumes for one pod alone, affinity within a host), gets its place from
// them directly, pod by pod (exact.go). Volumes and devices that a pod of the plan is given
// are nobody else's from then on (verify.go, devices.go). So every pod of a plan has passed the
// real plugins, and a mistake here costs time or money, never a pod that does not fit.
//
// Priority comes first: where a pod has no place and one of a lower priority may have it, all
// is planned anew, one priority after the other (bands.go).
//
// By nothing that is only guessed of a node on its way, such as its zone, is a place decided
// (guess.go).
//
// # What is foretold of a node to be bought
//
// Its labels, taints and allocatable are its template's. How many volumes it attaches is known
// where a node of its type runs (attach.go); which features it declares, where nodes of its
// pool do (Input.Features). Devices it has none until its drivers publish them, so nothing is
// bought for a claim to devices of its own, and the pod is told so (devices.go).
package fit
