// Package simec2 is a simulated region of Amazon EC2: an HTTP server on
// loopback that speaks the real wire protocols of EC2, SSM, Pricing, STS and SQS, so
// that unmodified AWS clients can launch, describe and terminate machines that
// do not exist.
//
// It owns the region's state (instances, launch templates, subnets, images,
// capacity, prices, the queue of what happens to instances) and its manners: client tokens, partial fulfilment,
// request throttles, reads that lag behind writes, boot and shutdown times, and
// faults injected by the test at hand. What it does not model it refuses with
// an AWS error that names the action, parameter or filter; it never guesses.
//
// It shares no code with the launcher, so that a wrong belief about EC2 on
// either side shows as a disagreement.
package simec2
