package nodes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Orders are by what nodes can be ordered.
func Orders() []string {
	return []string{"age", "price", "cpu", "memory", "pods", "name", "type", "zone", "pool", "state"}
}

// Order orders the nodes: amounts from the greatest, ages from the oldest, names by the
// alphabet; a leading - turns that around. Claims without a Node stay last.
func (v *View) Order(by string) error {
	key, backwards := strings.CutPrefix(by, "-")
	compare := map[string]func(a, b Node) int{
		"age":    func(a, b Node) int { return a.CreatedAt.Compare(b.CreatedAt) },
		"price":  func(a, b Node) int { return cmp.Compare(b.PricePerHour, a.PricePerHour) },
		"cpu":    func(a, b Node) int { return cmp.Compare(b.CPU.Share(), a.CPU.Share()) },
		"memory": func(a, b Node) int { return cmp.Compare(b.Memory.Share(), a.Memory.Share()) },
		"pods":   func(a, b Node) int { return cmp.Compare(b.Pods.Requested, a.Pods.Requested) },
		"name":   func(Node, Node) int { return 0 },
		"type":   func(a, b Node) int { return strings.Compare(a.InstanceType, b.InstanceType) },
		"zone":   func(a, b Node) int { return strings.Compare(a.Zone, b.Zone) },
		"pool":   func(a, b Node) int { return strings.Compare(a.NodePool, b.NodePool) },
		"state":  func(a, b Node) int { return strings.Compare(a.State, b.State) },
	}[key]
	if compare == nil {
		return fmt.Errorf("nodes cannot be ordered by %q, but by %s", by, strings.Join(Orders(), ", "))
	}
	slices.SortFunc(v.Nodes, func(a, b Node) int {
		here := cmp.Or(compare(a, b), strings.Compare(a.Name, b.Name), strings.Compare(a.NodeClaim, b.NodeClaim))
		if backwards {
			here = -here
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), here)
	})
	return nil
}

// rank puts nodes that are there before claims.
func rank(n Node) int {
	if n.Absent {
		return 1
	}
	return 0
}

// Only keeps the nodes of some pools; without any all.
func (v *View) Only(pools []string) {
	if len(pools) == 0 {
		return
	}
	v.Nodes = slices.DeleteFunc(v.Nodes, func(n Node) bool { return !slices.Contains(pools, n.NodePool) })
	v.sum()
}
