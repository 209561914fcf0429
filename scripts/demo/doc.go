// Package demo owns the walkthrough: it plays two rounds of pods that need nodes against
// a running stack, prints a timeline of what really happened, and reports what it saw.
//
// What it tells comes from outside the daemons: the API server's watches, the
// simulated EC2's own log of calls, and the launcher's log file as an operator would read it.
package demo
