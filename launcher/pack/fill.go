package pack

import (
	"math"
	"slices"
)

// take is a number of pods of one item.
type take struct{ item, count int }

// batch is a number of identical nodes.
type batch struct {
	bin   int
	takes []take
	nodes int
}

// style is how a filling chooses among items of equal worth per room.
type style struct {
	large float64 // how much larger pods come before smaller ones
	chunk float64 // which part of what a node still holds is decided at once
}

// filler fills bins with items by arithmetic.
type filler struct {
	*model
	worth   []float64 // by item
	request []float64 // of all items, one after the other
	size    []float64 // by item: worth, against the largest
	price   []float64 // by bin, above 0
	left    []int     // by item
	active  []int     // items with pods left
	used    []int     // nodes, by bin
	effort  int       // spent, see Problem.Effort

	style style
	guide []float64 // by item: what a pod counts for
	reach []float64 // by rung: the most guide per price it may hold
	pull  []float64 // by item: guide, weighed by size as the style says
	loads int

	equal      []int // by item: the same for those that request the same, which are side by side
	candidates []int
	next       int // position of the candidate to compare first
	free       []int64
	inverse    []float64
	known      []filling // by bin
}

// filling is what a bin was filled with last.
type filling struct {
	takes  []take
	worth  float64
	effort int
	load   int // what was loaded then; 0 if it may come out otherwise
}

// trifle is what every pod is worth more than it is, as part of the lowest price, so that
// pods that request nothing are placed, too.
const trifle = 1e-9

func newFiller(m *model, worth []float64) *filler {
	n := len(m.resources)
	f := &filler{
		model: m, price: m.positivePrices(), left: make([]int, len(m.items)), used: make([]int, len(m.bins)),
		free: make([]int64, n), inverse: make([]float64, n), size: make([]float64, len(m.items)), pull: make([]float64, len(m.items)),
		equal: make([]int, len(m.items)), known: make([]filling, len(m.bins)),
	}
	f.worth = slices.Clone(worth)
	more := trifle * slices.Min(f.price)
	for i, it := range m.items {
		f.worth[i] += more
		for _, q := range it.request {
			f.request = append(f.request, float64(q))
		}
		f.size[i] = math.Log(f.worth[i])
		if i > 0 {
			f.equal[i] = f.equal[i-1]
			if !slices.Equal(it.request, m.items[i-1].request) {
				f.equal[i]++
			}
		}
	}
	return f
}

// load sets the pods to be placed, and how.
func (f *filler) load(takes []take, st style, guide, reach []float64) {
	f.style, f.guide, f.reach = st, guide, reach
	clear(f.left)
	f.active = f.active[:0]
	for _, t := range takes {
		if f.left[t.item] == 0 && t.count > 0 {
			f.active = append(f.active, t.item)
		}
		f.left[t.item] += t.count
	}
	slices.Sort(f.active)
	for _, i := range f.active {
		f.pull[i] = guide[i]
		if st.large != 0 {
			f.pull[i] *= math.Exp(st.large * f.size[i])
		}
	}
	f.loads++
}

// fill fills one node: again and again it takes the item that would make the most of what
// is free if the rest of the node were filled with it alone, so that all resources run out
// together (the dot-product family of vector packing heuristics, Panigrahy et al. 2011).
// What the bin was filled with last is what it would be filled with again, as long as there are
// pods for it. The result is valid until the next call for the bin.
func (f *filler) fill(b int) (takes []take, worth float64) {
	k := &f.known[b]
	if k.load == f.loads && !slices.ContainsFunc(k.takes, func(t take) bool { return f.left[t.item] < t.count }) {
		f.effort += k.effort // as if it were new: the search shall not depend on what is known
		return k.takes, k.worth
	}
	before := f.effort
	f.effort += 200 + len(f.ladder) // which is gone through for every filling
	*k = filling{takes: k.takes[:0]}
	copy(f.free, f.bins[b].capacity)
	f.candidates, f.next = f.candidates[:0], 0
	for _, i := range f.active {
		if f.sets[f.bins[b].set].has(i) {
			f.candidates = append(f.candidates, i)
		}
	}
	if len(f.candidates) <= mostCompared { // else it depends on all of them what is compared
		k.load = f.loads
	}
	for {
		at, share := f.choose()
		if at < 0 {
			k.effort = f.effort - before
			return k.takes, k.worth
		}
		i := f.candidates[at]
		t := k.of(i)
		most := min(f.left[i], f.items[i].most) - t.count
		count := min(f.holds(i), most, max(1, int(f.style.chunk/share)))
		if count > 0 {
			for r, q := range f.items[i].request {
				f.free[r] -= q * int64(count)
			}
			t.count += count
			k.worth += float64(count) * f.guide[i]
		}
		if t.count == 0 {
			k.takes = k.takes[:len(k.takes)-1]
		}
		if count == most || count < 1 {
			last := len(f.candidates) - 1
			f.candidates[at] = f.candidates[last]
			f.candidates = f.candidates[:last]
		}
	}
}

// of returns what is taken of an item; it is added if need be.
func (k *filling) of(item int) *take {
	for at := range k.takes {
		if k.takes[at].item == item {
			return &k.takes[at]
		}
	}
	k.takes = append(k.takes, take{item: item})
	return &k.takes[len(k.takes)-1]
}

// mostCompared bounds the candidates that are compared at a time; the next ones are others.
const mostCompared = 300

// choose returns the position of the candidate to take next, and the largest share of a free
// resource that a pod of it takes; -1 when none fits. Candidates that turn out to no longer fit
// are dropped.
func (f *filler) choose() (best int, bestShare float64) {
	n := len(f.resources)
	inverse := f.inverse[:n]
	for r, q := range f.free {
		inverse[r] = 1 / (float64(q) + 1e-9)
	}
	best = -1
	bestPull := 0.0
	all, compared := f.candidates, 0
	equal, share := -1, 0.0 // of the candidate before
	for best < 0 && len(all) > 0 {
		if f.next >= len(all) {
			f.next = 0
		}
		for end := f.next + mostCompared; f.next < min(end, len(all)); compared++ {
			i := all[f.next]
			if f.equal[i] != equal {
				bits := uint64(0) // in the order of the numbers, as none is negative
				for r, q := range f.request[i*n : i*n+n][:len(inverse)] {
					bits = max(bits, math.Float64bits(q*inverse[r]))
				}
				equal, share = f.equal[i], math.Float64frombits(bits)
			}
			if share > 1 {
				all[f.next] = all[len(all)-1]
				all = all[:len(all)-1]
				continue
			}
			if best < 0 || f.pull[i]*bestShare > bestPull*share {
				best, bestPull, bestShare = f.next, f.pull[i], share
			}
			f.next++
		}
	}
	f.effort += (n + 2) * compared
	f.candidates = all
	return best, bestShare
}

// holds returns how many pods of an item the free room holds.
func (f *filler) holds(i int) int {
	n := int64(math.MaxInt32)
	for r, q := range f.items[i].request {
		if q > 0 {
			n = min(n, f.free[r]/q)
		}
	}
	return int(n)
}
