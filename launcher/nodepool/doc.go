// Package nodepool owns the status of NodePools and EC2NodeClasses: whether nodes can
// be launched from them, and if not, what to mend. It launches nothing itself.
//
// An EC2NodeClass is resolved (its subnets, security groups and images are looked up)
// when it changes and every few minutes. A NodePool is Ready when its requirements can
// be evaluated, its class is ready and at least one offering satisfies it.
package nodepool
