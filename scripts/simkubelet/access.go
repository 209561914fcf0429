package simkubelet

import (
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

// Access is the type of the EKS access entry that lets the nodes' role into the cluster. It
// decides what user a kubelet is authenticated as.
// https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
type Access string

const (
	// AccessEC2 names a kubelet after its session, which EC2 names after the instance:
	// system:node:{{SessionName}}.
	AccessEC2 Access = "EC2"
	// AccessEC2Linux names it after its instance's address: system:node:{{EC2PrivateDNSName}}.
	AccessEC2Linux Access = "EC2_LINUX"
)

// errForbidden means that the cluster does not let the kubelet register its node.
var errForbidden = errors.New("forbidden")

// user is what the authenticator calls the instance's kubelet.
func (a Access) user(i simec2.Instance) string {
	if a == AccessEC2Linux {
		return userPrefix + i.PrivateDNS
	}
	return userPrefix + i.ID
}

const userPrefix = "system:node:"

// mayRegister refuses what the API server's node authorizer and its NodeRestriction would: a
// kubelet writes the one Node that its user is named after.
func (a Access) mayRegister(i simec2.Instance, node string) error {
	if user := a.user(i); user != userPrefix+node {
		return fmt.Errorf("%w: nodes %q: user %q is not allowed to modify it", errForbidden, node, user)
	}
	return nil
}
