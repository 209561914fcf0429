// Package burst owns the benchmark of bursts: so many pods created at once in a cluster
// without nodes, instances and kubelets that start at once, and how long it takes until
// every pod is bound.
//
// All times come from outside the daemons and from one clock, that of this process: from
// watches of its own (scripts/observe) and the simulated EC2's log of calls. Only the
// stages inside the launcher are taken from the launcher's log. Figures are compared with
// budgets; a budget that is missed is reported, a pod that is never bound is an error.
package burst
