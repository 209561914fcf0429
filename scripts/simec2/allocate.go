package simec2

import (
	"cmp"
	"slices"
	"time"
)

// share is how many instances a pool gives.
type share struct {
	pool  *fleetPool
	count int
}

type poolError struct {
	pool *fleetPool
	err  *apiError
}

// allocate chooses pools for one capacity type as the strategy says. It takes
// nothing: launching does. The errors are those of the pools that were tried in
// vain, and none when the goal was met by the first ones.
func (r *region) allocate(g goal, pools []*fleetPool, now time.Time) (shares []share, errs []poolError) {
	var usable []*fleetPool
	for _, pool := range pools {
		if err := r.unusable(pool, g, now); err != nil {
			errs = append(errs, poolError{pool, err})
			continue
		}
		usable = append(usable, pool)
	}
	r.rank(g, usable, now)
	if g.singleType || g.singleZone {
		usable = r.bestGroup(g, usable)
	}
	missing := g.count
	addresses := map[*subnet]int{} // promised so far, as is capacity: two
	promised := map[poolKey]int{}  // overrides may name the same pool
	for _, pool := range usable {
		if missing == 0 {
			break
		}
		key := pool.key(g.capacityType)
		n := min(missing, r.held(pool, key)-promised[key], pool.subnet.freeAddresses()-addresses[pool.subnet])
		if n < missing {
			errs = append(errs, poolError{pool, r.shortage(pool, g.capacityType)})
		}
		if n > 0 {
			shares = append(shares, share{pool, n})
			addresses[pool.subnet] += n
			promised[key] += n
			missing -= n
		}
	}
	if g.count-missing < g.least {
		return nil, errs // all or nothing
	}
	return shares, errs
}

func (pool *fleetPool) key(capacityType string) poolKey {
	return poolKey{pool.typ.Name, pool.subnet.zone, capacityType}
}

func (r *region) unusable(pool *fleetPool, g goal, now time.Time) *apiError {
	capacityType := g.capacityType
	if pool.err != nil {
		return pool.err
	}
	if err := refusal(r.poolFaults, pool.key(capacityType)); err != nil {
		return err
	}
	if err := r.identities.usable(pool.data.profile, now); err != nil {
		return err
	}
	if pool.data.block != g.block {
		return refuse("InvalidParameterCombination", "Capacity blocks need the target capacity type capacity-block, and nothing else may use it")
	}
	if pool.data.targetID != "" {
		return r.targeted(pool, capacityType, now)
	}
	if price := r.price(pool.typ, pool.subnet.zone, capacityType, now); capacityType == Spot && pool.maxPrice > 0 && pool.maxPrice < price {
		return refuse("SpotMaxPriceTooLow",
			"Your Spot request price of %v is lower than the minimum required Spot request fulfillment price of %v.", pool.maxPrice, price)
	}
	return nil
}

// held is the room left in the reservation that the pool targets, else in the pool.
func (r *region) held(pool *fleetPool, key poolKey) int {
	if c := r.capacityReservation(pool.data.targetID); c != nil {
		return r.unused(c)
	}
	return r.capacity.free(key)
}

// room is how many more instances the pool could start.
func (r *region) room(pool *fleetPool, capacityType string) int {
	return min(r.held(pool, pool.key(capacityType)), pool.subnet.freeAddresses())
}

func (r *region) shortage(pool *fleetPool, capacityType string) *apiError {
	if pool.subnet.freeAddresses() < r.held(pool, pool.key(capacityType)) {
		return refuse("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.", pool.subnet.id)
	}
	if pool.data.targetID != "" {
		return r.reservationFull()
	}
	if capacityType == Spot {
		return refuse("InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request.")
	}
	return refuse("InsufficientInstanceCapacity",
		"We currently do not have sufficient %s capacity in the Availability Zone you requested (%s).", pool.typ.Name, pool.subnet.zone)
}

// rank orders pools, best first, and leaves the request's order among equals.
func (r *region) rank(g goal, pools []*fleetPool, now time.Time) {
	price := func(p *fleetPool) float64 { return r.price(p.typ, p.subnet.zone, g.capacityType, now) }
	room := func(p *fleetPool) int { return r.room(p, g.capacityType) }
	slices.SortStableFunc(pools, func(a, b *fleetPool) int {
		switch g.strategy {
		case "prioritized":
			return cmp.Compare(a.priority, b.priority)
		case "capacity-optimized":
			return cmp.Compare(room(b), room(a))
		case "capacity-optimized-prioritized":
			return cmp.Or(cmp.Compare(room(b), room(a)), cmp.Compare(a.priority, b.priority))
		case "price-capacity-optimized":
			// The deepest pools, then the cheapest of them: a pool that holds
			// all that is wanted is deep enough.
			return cmp.Or(cmp.Compare(min(room(b), g.count), min(room(a), g.count)), cmp.Compare(price(a), price(b)))
		default: // lowest-price
			return cmp.Compare(price(a), price(b))
		}
	})
}

// bestGroup keeps the pools of one type, of one zone, or of one of each. Groups
// are tried in the rank of their best pool; the first that meets the goal wins,
// else the one with the most room.
func (r *region) bestGroup(g goal, ranked []*fleetPool) []*fleetPool {
	type group struct{ typ, zone string }
	of := func(p *fleetPool) (k group) {
		if g.singleType {
			k.typ = p.typ.Name
		}
		if g.singleZone {
			k.zone = p.subnet.zone
		}
		return k
	}
	var order []group
	members := map[group][]*fleetPool{}
	rooms := map[group]int{}
	for _, p := range ranked {
		k := of(p)
		if members[k] == nil {
			order = append(order, k)
		}
		members[k] = append(members[k], p)
		rooms[k] += r.room(p, g.capacityType)
	}
	if len(order) == 0 {
		return nil
	}
	best := order[0]
	for _, k := range order {
		if rooms[k] >= g.count {
			return members[k]
		}
		if rooms[k] > rooms[best] {
			best = k
		}
	}
	return members[best]
}
