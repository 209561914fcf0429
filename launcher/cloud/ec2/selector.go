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

// discoveryFilters find what belongs to the cluster when a class does not say: what is
// marked for it by hand, else what carries the tag that all tools for EKS set.
func (p *Provider) discoveryFilters() alternatives {
	name := p.cfg.Cluster.Name
	return alternatives{
		{{filter("tag:"+tagDiscovery, name)}},
		{{filter("tag:kubernetes.io/cluster/"+name, "owned", "shared")}},
	}
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
	return fmt.Errorf("%w: no %s is tagged %s: %s or kubernetes.io/cluster/%s; tag some, or set spec.%s",
		cloud.ErrInvalid, what, tagDiscovery, cluster, cluster, field)
}
