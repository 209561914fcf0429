package simec2

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const accountID = "111122223333"

// region is the simulated world. It knows no HTTP and takes no lock: the server
// calls it one request at a time.
type region struct {
	cfg   Config
	rand  *rand.Rand
	types map[string]InstanceType
	// typeNames is sorted; Describe calls page over it.
	typeNames []string
	subnets   []*subnet
	images    []image
	groups    []securityGroup // the nodes' first

	machines  map[string]*machine
	order     []*machine // by launch, for stable pages
	schedule  schedule
	templates map[string]*launchTemplate
	fleets    map[string]map[string]string // fleet id to tags
	tokens    map[tokenKey]tokenUse
	capacity  *capacity
	queue     *queue
	walk      spotWalk
	// reservationList is in the order in which it was given.
	reservationList []CapacityReservation
	shrunk          map[string]float64 // instance type to per cent of memory missing
	poolFaults      []Fault            // for the call that is being served
	identities      identities
}

type subnet struct {
	id, zone, zoneID string
	prefix           netip.Prefix
	nextIP           netip.Addr
	freedIPs         []netip.Addr
	inUse            int
	tags             map[string]string
}

type securityGroup struct {
	id, name string
	tags     map[string]string
}

const vpcID = "vpc-0a11c0de0a11c0de0"

func newRegion(cfg Config) (*region, error) {
	types, err := Catalogue()
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	r := &region{
		cfg:       cfg,
		rand:      rand.New(rand.NewPCG(cfg.Seed, cfg.Seed^0x9e3779b97f4a7c15)), //nolint:gosec // G404: one seed must always give the same run
		types:     map[string]InstanceType{},
		machines:  map[string]*machine{},
		templates: map[string]*launchTemplate{},
		fleets:    map[string]map[string]string{},
		tokens:    map[tokenKey]tokenUse{},
		capacity:  newCapacity(),
		queue:     newQueue(cfg.QueueName),
		walk:      spotWalk{cfg.Clock.Now(), cfg.SpotPricesMove},
		shrunk:    map[string]float64{},

		identities: newIdentities(cfg),
	}
	for _, t := range types {
		r.types[t.Name] = t
		r.typeNames = append(r.typeNames, t.Name)
	}
	owned := "kubernetes.io/cluster/" + cfg.ClusterName
	for i, letter := range []string{"a", "b", "c"} {
		prefix := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/18", 64*i))
		r.subnets = append(r.subnets, &subnet{
			id:     r.stableID("subnet-", letter),
			zone:   cfg.Region + letter,
			zoneID: fmt.Sprintf("%s-az%d", shortRegion(cfg.Region), i+1),
			prefix: prefix,
			nextIP: nthAddr(prefix, 4), // EC2 keeps the first four addresses and the last
			tags: map[string]string{
				"Name": cfg.ClusterName + "-" + cfg.Region + letter, owned: "owned",
				"kubernetes.io/role/internal-elb": "1",
			},
		})
	}
	r.groups = []securityGroup{{
		id: r.stableID("sg-", "nodes"), name: cfg.ClusterName + "-nodes",
		tags: map[string]string{"Name": cfg.ClusterName + "-nodes", owned: "owned"},
	}}
	if err := r.setReservations(cfg.Reservations); err != nil {
		return nil, err
	}
	for n, release := range bottlerocketReleases {
		r.publishBottlerocket(release, time.Date(2026, 6, 1+n, 0, 0, 0, 0, time.UTC))
	}
	for _, release := range cfg.ImageReleases {
		if err := r.publishImages(release); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// shortRegion abbreviates as zone ids do: us-east-1 becomes use1.
func shortRegion(name string) string {
	var out []byte
	start := true
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-':
			start = true
		case start && len(out) == 0:
			out = append(out, c, name[i+1])
			start = false
		case start:
			out = append(out, c)
			start = false
		}
	}
	return string(out)
}

func nthAddr(p netip.Prefix, n int) netip.Addr {
	a := p.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// id draws a fresh resource id.
func (r *region) id(prefix string) string { return fmt.Sprintf("%s0%016x", prefix, r.rand.Uint64()) }

// stableID derives an id from a name, the same in every run.
func (r *region) stableID(prefix, name string) string {
	return fmt.Sprintf("%s0%016x", prefix, hash64(r.cfg.Region, r.cfg.ClusterName, name))
}

func hash64(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	// FNV's high bits hardly move for short inputs; spread them.
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	return v
}

func (r *region) subnetByID(id string) *subnet {
	for _, s := range r.subnets {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (r *region) subnetInZone(zone string) *subnet {
	for _, s := range r.subnets {
		if s.zone == zone {
			return s
		}
	}
	return nil
}

func (s *subnet) freeAddresses() int { return 1<<(32-s.prefix.Bits()) - 5 - s.inUse }

func (s *subnet) takeAddress() netip.Addr {
	s.inUse++
	if n := len(s.freedIPs); n > 0 {
		a := s.freedIPs[n-1]
		s.freedIPs = s.freedIPs[:n-1]
		return a
	}
	a := s.nextIP
	s.nextIP = a.Next()
	return a
}

func (s *subnet) returnAddress(a netip.Addr) {
	s.inUse--
	s.freedIPs = append(s.freedIPs, a)
}

// privateDNS is the default host name of an address.
func (r *region) privateDNS(a netip.Addr) string {
	b := a.As4()
	domain := r.cfg.Region + ".compute.internal"
	if r.cfg.Region == "us-east-1" {
		domain = "ec2.internal"
	}
	return fmt.Sprintf("ip-%d-%d-%d-%d.%s", b[0], b[1], b[2], b[3], domain)
}

func (r *region) price(t InstanceType, zone, capacityType string, now time.Time) float64 {
	if capacityType == Spot {
		return r.spotPrice(t, zone, now)
	}
	return t.OnDemand
}

// visible lists the machines a Describe call shows, by launch.
func (r *region) visible(now time.Time) []*machine {
	out := make([]*machine, 0, len(r.order))
	for _, m := range r.order {
		if !m.visibleAt.After(now) {
			out = append(out, m)
		}
	}
	return out
}

func (r *region) zones() []string {
	out := make([]string, 0, len(r.subnets))
	for _, s := range r.subnets {
		out = append(out, s.zone)
	}
	slices.Sort(out)
	return out
}
