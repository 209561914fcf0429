package ec2

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// alternatives are queries of which the first that finds anything counts; the filters
// of one are asked for one after the other and what they find is put together.
type alternatives [][][]types.Filter

// subnetsOfCluster find the subnets when a class does not say which: those that are marked for
// the cluster by hand, else those that carry the tag that tools for EKS set.
func (p *Provider) subnetsOfCluster() alternatives {
	name := p.cfg.Cluster.Name
	return alternatives{
		{{filter("tag:"+tagDiscovery, name)}},
		{{filter("tag:"+tagCluster+name, "owned", "shared")}},
	}
}

// groupsOfCluster find the security groups when a class does not say which: those that are
// marked by hand; else the one that EKS made for the control plane and its nodes; else those
// that carry the tag that tools set on groups of many kinds.
// https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html
func (p *Provider) groupsOfCluster() alternatives {
	name := p.cfg.Cluster.Name
	return alternatives{
		{{filter("tag:"+tagDiscovery, name)}},
		{{filter("tag:aws:eks:cluster-name", name)}},
		{{filter("tag:"+tagCluster+name, "owned", "shared")}},
	}
}

// tagCluster, followed by the cluster's name, is the tag of what belongs to a cluster.
const tagCluster = "kubernetes.io/cluster/"

// ofLoadBalancer tells the groups that the AWS cloud controller makes for Services, and tags as
// the cluster's. They come and go with Services, and a node with two tagged groups has no
// Service reach it.
func ofLoadBalancer(g types.SecurityGroup) bool {
	return strings.HasPrefix(aws.ToString(g.GroupName), "k8s-elb-")
}

// preferPrivate keeps, of discovered subnets, those marked for internal load balancers when there
// are any, and those marked by hand unless they are for public ones: nodes in a public subnet
// without a public address cannot reach anything.
// https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
func preferPrivate(found []types.Subnet) []types.Subnet {
	const private, public = "kubernetes.io/role/internal-elb", "kubernetes.io/role/elb"
	has := func(s types.Subnet, key string) bool {
		return slices.ContainsFunc(s.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == key })
	}
	if !slices.ContainsFunc(found, func(s types.Subnet) bool { return has(s, private) }) {
		return found
	}
	return slices.DeleteFunc(slices.Clone(found), func(s types.Subnet) bool {
		return !has(s, private) && (has(s, public) || !has(s, tagDiscovery))
	})
}

// firstFound asks for one alternative after the other until something is found.
func firstFound[T any](queries alternatives, ask func([]types.Filter) ([]T, error)) ([]T, error) {
	for _, q := range queries {
		var found []T
		for _, filters := range q {
			if len(filters) == 0 { // would find everything in the account
				return nil, fmt.Errorf("%w: a selector term is empty", cloud.ErrInvalid)
			}
			some, err := ask(filters)
			if err != nil {
				return nil, err
			}
			found = append(found, some...)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// selector returns the filters of one term. They are sorted, so that equal terms make equal calls.
func selector(tags map[string]string, idFilter, id string) []types.Filter {
	var filters []types.Filter
	for key, value := range tags {
		if value == "*" {
			filters = append(filters, filter("tag-key", key))
		} else {
			filters = append(filters, filter("tag:"+key, value))
		}
	}
	if id != "" {
		filters = append(filters, filter(idFilter, id))
	}
	slices.SortFunc(filters, func(a, b types.Filter) int {
		return cmp.Or(strings.Compare(*a.Name, *b.Name), slices.Compare(a.Values, b.Values))
	})
	return filters
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

func sortedUnique[T any](s []T, key func(T) string) []T {
	slices.SortFunc(s, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return slices.CompactFunc(s, func(a, b T) bool { return key(a) == key(b) })
}

func nothingFound(what, field string, selected bool, cluster string) error {
	if selected {
		return fmt.Errorf("%w: no %s matches spec.%s", cloud.ErrInvalid, what, field)
	}
	return fmt.Errorf("%w: no %s is tagged %s: %s or %s%s; tag some, or set spec.%s",
		cloud.ErrInvalid, what, tagDiscovery, cluster, tagCluster, cluster, field)
}
