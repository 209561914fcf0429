package simec2

import "fmt"

// Capacity types, as DescribeInstances and CreateFleet call them.
const (
	OnDemand = "on-demand"
	Spot     = "spot"
)

// CapacityRule sets how many instances may run at once in each pool it covers.
// A pool is an instance type in a zone at a capacity type; "*" or "" stands for
// any. Each covered pool has its own Instances; it is not shared among them.
type CapacityRule struct {
	InstanceType string `json:"instanceType,omitempty"`
	Zone         string `json:"zone,omitempty"`
	CapacityType string `json:"capacityType,omitempty"`
	Instances    int    `json:"instances"`
}

type poolKey struct{ instanceType, zone, capacityType string }

func (r CapacityRule) key() poolKey {
	setDefault(&r.InstanceType, "*")
	setDefault(&r.Zone, "*")
	setDefault(&r.CapacityType, "*")
	return poolKey{r.InstanceType, r.Zone, r.CapacityType}
}

func (r CapacityRule) validate() error {
	if r.Instances < 0 {
		return fmt.Errorf("capacity of %v: negative", r.key())
	}
	switch r.key().capacityType {
	case "*", OnDemand, Spot:
		return nil
	}
	return fmt.Errorf("capacity of %v: unknown capacity type", r.key())
}

// capacity counts what runs against what may.
type capacity struct {
	limits map[poolKey]int
	used   map[poolKey]int
}

func newCapacity() *capacity {
	return &capacity{limits: map[poolKey]int{}, used: map[poolKey]int{}}
}

// free is the room left in a pool under the most specific rule: one that names
// the type goes before one that names the zone, and that before one that names
// the capacity type.
func (c *capacity) free(k poolKey) int {
	for mask := range 8 {
		probe := k
		if mask&4 != 0 {
			probe.instanceType = "*"
		}
		if mask&2 != 0 {
			probe.zone = "*"
		}
		if mask&1 != 0 {
			probe.capacityType = "*"
		}
		if limit, ok := c.limits[probe]; ok {
			return max(0, limit-c.used[k])
		}
	}
	const plenty = 1 << 30
	return plenty
}

func (c *capacity) take(k poolKey)   { c.used[k]++ }
func (c *capacity) giveUp(k poolKey) { c.used[k]-- }
