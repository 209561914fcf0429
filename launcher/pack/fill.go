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
	noise float64 // how much worths are stirred
}

// filler fills bins with items by arithmetic.
type filler struct {
	*model
	duals
	fits    []bitset  // by bin, over items
	request []float64 // of all items, one after the other
	size    []float64 // by item: worth, against the largest
	price   []float64 // by bin, above 0
	left    []int     // by item
	active  []int     // items with pods left
	used    []int     // nodes, by bin
	effort  int       // fillings made

	candidates []int
	free       []int64
	inverse    []float64
	takes      []take
}

// trifle is what every pod is worth more than it is, as part of the lowest price, so that
// pods that request nothing are placed, too.
const trifle = 1e-9

func newFiller(m *model, d duals) *filler {
	n := len(m.resources)
	f := &filler{
		model: m, duals: d, price: m.positivePrices(), left: make([]int, len(m.items)), used: make([]int, len(m.bins)),
		free: make([]int64, n), inverse: make([]float64, n), size: make([]float64, len(m.items)),
	}
	f.worth, f.potential = slices.Clone(d.worth), slices.Clone(d.potential)
	for t := range f.potential {
		f.potential[t] += trifle
	}
	for i, it := range m.items {
		f.worth[i] += trifle * slices.Min(f.price)
		for _, q := range it.request {
			f.request = append(f.request, float64(q))
		}
		f.size[i] = math.Log(f.worth[i])
	}
	for _, b := range m.bins {
		set := make(bitset, (len(m.items)+63)/64)
		for _, i := range b.items {
			set.set(i)
		}
		f.fits = append(f.fits, set)
	}
	return f
}

// load sets the pods to be placed.
func (f *filler) load(takes []take) {
	clear(f.left)
	f.active = f.active[:0]
	for _, t := range takes {
		if f.left[t.item] == 0 && t.count > 0 {
			f.active = append(f.active, t.item)
		}
		f.left[t.item] += t.count
	}
	slices.Sort(f.active)
}

// fill fills one node: again and again it takes the item that would make the most of what
// is free if the rest of the node were filled with it alone, so that all resources run out
// together (the dot-product family of vector packing heuristics, Panigrahy et al. 2011).
// The result is valid until the next call.
func (f *filler) fill(b int, st style, worth []float64) ([]take, float64) {
	f.effort++
	n := len(f.resources)
	copy(f.free, f.bins[b].capacity)
	f.candidates = f.candidates[:0]
	for _, i := range f.active {
		if f.fits[b].has(i) && f.left[i] > 0 {
			f.candidates = append(f.candidates, i)
		}
	}
	f.takes = f.takes[:0]
	total := 0.0
	for {
		for r, q := range f.free {
			f.inverse[r] = 1 / (float64(q) + 1e-9)
		}
		best, bestScore, bestShare := -1, -1.0, 0.0
		kept := f.candidates[:0]
		for _, i := range f.candidates {
			share := 0.0
			for r, q := range f.request[i*n : i*n+n] {
				share = max(share, q*f.inverse[r])
			}
			if share > 1 {
				continue // takes of the same item may have used up the room
			}
			kept = append(kept, i)
			score := worth[i] / share
			if st.large != 0 {
				score *= math.Exp(st.large * f.size[i])
			}
			if score > bestScore {
				best, bestScore, bestShare = i, score, share
			}
		}
		f.candidates = kept
		if best < 0 {
			return f.takes, total
		}
		count := f.holds(best)
		count = min(count, f.left[best]-f.taken(best), f.items[best].most-f.taken(best), max(1, int(st.chunk/bestShare)))
		if count < 1 {
			f.candidates = slices.DeleteFunc(f.candidates, func(i int) bool { return i == best })
			continue
		}
		f.put(best, count)
		total += float64(count) * f.worth[best]
		if f.taken(best) >= min(f.left[best], f.items[best].most) {
			f.candidates = slices.DeleteFunc(f.candidates, func(i int) bool { return i == best })
		}
	}
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
