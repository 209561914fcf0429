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

	candidates []int
	next       int // position of the candidate to compare first
	free       []int64
	inverse    []float64
	takes      []take
}

// trifle is what every pod is worth more than it is, as part of the lowest price, so that
// pods that request nothing are placed, too.
const trifle = 1e-9

func newFiller(m *model, worth []float64) *filler {
	n := len(m.resources)
	f := &filler{
		model: m, price: m.positivePrices(), left: make([]int, len(m.items)), used: make([]int, len(m.bins)),
		free: make([]int64, n), inverse: make([]float64, n), size: make([]float64, len(m.items)), pull: make([]float64, len(m.items)),
	}
	f.worth = slices.Clone(worth)
	for i, it := range m.items {
		f.worth[i] += trifle * slices.Min(f.price)
		for _, q := range it.request {
			f.request = append(f.request, float64(q))
		}
		f.size[i] = math.Log(f.worth[i])
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
}

// fill fills one node: again and again it takes the item that would make the most of what
// is free if the rest of the node were filled with it alone, so that all resources run out
// together (the dot-product family of vector packing heuristics, Panigrahy et al. 2011).
// The result is valid until the next call.
func (f *filler) fill(b int) (takes []take, worth float64) {
	f.effort += 200 + len(f.ladder) // which is gone through for every filling
	copy(f.free, f.bins[b].capacity)
	f.candidates = f.candidates[:0]
	for _, i := range f.active {
		if f.sets[f.bins[b].set].has(i) {
			f.candidates = append(f.candidates, i)
		}
	}
	f.takes, f.next = f.takes[:0], 0
	for {
		at, share := f.choose()
		if at < 0 {
			return f.takes, worth
		}
		i := f.candidates[at]
		taken := f.taken(i)
		most := min(f.left[i], f.items[i].most) - taken
		count := min(f.holds(i), most, max(1, int(f.style.chunk/share)))
		if count > 0 {
			f.put(i, count)
			worth += float64(count) * f.guide[i]
		}
		if count == most || count < 1 {
			last := len(f.candidates) - 1
			f.candidates[at] = f.candidates[last]
			f.candidates = f.candidates[:last]
		}
	}
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
	for best < 0 && len(all) > 0 {
		if f.next >= len(all) {
			f.next = 0
		}
		for end := f.next + mostCompared; f.next < min(end, len(all)); compared++ {
			i, share := all[f.next], 0.0
			for r, q := range f.request[i*n : i*n+n][:len(inverse)] {
				share = max(share, q*inverse[r])
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

func (f *filler) put(i, count int) {
	for r, q := range f.items[i].request {
		f.free[r] -= q * int64(count)
	}
	for k := range f.takes {
		if f.takes[k].item == i {
			f.takes[k].count += count
			return
		}
	}
	f.takes = append(f.takes, take{i, count})
}

func (f *filler) taken(i int) int {
	for _, t := range f.takes {
		if t.item == i {
			return t.count
		}
	}
	return 0
}
