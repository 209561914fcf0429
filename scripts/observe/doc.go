// Package observe owns what a bystander sees of a cluster through the API server's
// watches: when pods, nodes and NodeClaims appeared and changed, by the clock of the
// process that watches. (creationTimestamp has a precision of one second only.)
package observe
