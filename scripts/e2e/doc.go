// Package e2e tests the whole: a real control plane, both daemons as processes with their
// shipped RBAC and configuration, and the simulated EC2. Every test has a cluster of its
// own. The tests skip, saying so, where KUBEBUILDER_ASSETS names no control plane.
package e2e
