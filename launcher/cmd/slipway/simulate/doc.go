// Package simulate owns planning outside of the daemon: it puts objects, pools and offerings
// before the same engine that plans in a cluster.
package simulate
