// Package day owns the benchmark of a day: a cluster whose load rises and falls, with batch
// jobs, rollouts and spot interruptions, in simulated time. It tells what the day cost, what
// it could have cost at the least, how long pods waited and how many were disrupted.
//
// What decides is real: pods are placed by the scheduler of the shipped profile, in process,
// with its scores; what fits nowhere is planned by package fit, and underused nodes are chosen
// by package reallocate. What happens around them is simulated here, in steps of five seconds:
//
//   - load.go: what controllers create and delete, drawn from a seed;
//   - market.go: types of EC2 at their on-demand prices of us-east-1, spot prices that walk;
//   - cluster.go: nodes boot, pods bind to the node that is reserved for them and move when
//     it goes; a node that has been empty for the TTL is terminated;
//   - bill.go: money, time and what was disrupted, and the proven lower bound of each quarter
//     of an hour.
//
// Left out are API calls and their time (bench-burst measures that), the time that containers
// take to start, and EC2 without capacity.
package day
