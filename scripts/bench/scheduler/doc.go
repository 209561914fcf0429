// Package scheduler owns the comparison of scheduling throughput: the same workloads, run
// by upstream's scheduler_perf harness (package perf, a module of its own) with the stock
// profile and with Slipway's, in pairs that follow each other closely.
//
// Each measurement is a process of its own with its own API server and etcd. Which of a
// pair goes first alternates.
package scheduler
