// Package devcluster owns a Kubernetes control plane that runs on this machine
// alone: etcd, kube-apiserver and kube-controller-manager as subprocesses that
// listen on 127.0.0.1, keep everything in one directory, and end with the
// process that started them. It also starts and stops the project's own
// daemons (Process) and issues their certificates (CA, WriteCerts).
//
// It is for tests, demonstrations and development: etcd does not sync to disk
// and serves anyone on this machine.
package devcluster
