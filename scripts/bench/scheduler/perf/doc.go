// Package perf owns one measurement of a scheduler's throughput: the upstream
// scheduler_perf harness, with its own API server and etcd, on the workloads in testdata,
// with the stock profile or with the one that slipway-scheduler is installed with.
//
// The harness links an API server and more than twenty modules that the product does
// without. So this is a module of its own, which neither `go build ./...` nor the linters
// nor `make test` see; `make bench-scheduler` vets, builds and runs it.
package perf
