package pack

import (
	"cmp"
	"math"
	"slices"
)

// patterns is the configuration LP of a block of items over the fillings of nodes that are known,
//
//	min Σ_p price_p·x_p   subject to   Σ_p takes_ip·x_p = count_i,
//
// with x_p nodes filled alike (Gilmore and Gomory 1961). It knows of whole pods what the
// assignment LP does not. It is solved by the revised simplex method.
type patterns struct {
	*filler
	bounder *bounder
	block   []int     // items
	row     []int     // by item; -1 for those that are not of the block
	pool    []batch   // known patterns
	basis   []batch   // by row
	inverse []float64 // of the basis, by rows
	level   []float64 // of the basic patterns: nodes
	duals   []float64 // by item: what a pod costs at the margin
	column  []float64
	every   []int // bin
}

const (
	mostRows      = 120  // of a block: the time that it takes grows with their cube
	mostLarge     = 60   // items, if they alone are to make up
	largestPart   = 8    // of the effort may be spent on these
	nearlyAll     = 0.85 // of what all pods are worth
	worthwhile    = 1e-3 // gain of a pattern, as part of its price
	tried         = 20   // patterns, before all are looked at again
	mostLooks     = 200  // at all patterns, until new ones are looked for
	effortOfReach = 500  // that is looked up, by bin
	effortOfFill  = 500  // of setting branch and bound up, by item that may be on the node
	effortOfStep  = 60   // of branch and bound
	firstSteps    = 20   // of branch and bound, for one filling at first
	lastSteps     = 20_000
)

// blocks deals the items into blocks of many sizes each, so that all have small items to go with
// the large. nil if there are bins that are limited in number or cost nothing.
func (b *bounder) blocks(f *filler, plan []batch) []*patterns {
	if slices.ContainsFunc(f.bins, func(bin bin) bool { return bin.limit > 0 || bin.price <= 0 }) {
		return nil
	}
	blocks := make([]*patterns, (len(f.items)+mostRows-1)/mostRows)
	for n := range blocks {
		blocks[n] = b.block(f, func(i int) bool { return i%len(blocks) == n })
	}
	if len(blocks) == 1 {
		blocks[0].pool = slices.Clone(plan)
	}
	return blocks
}

// block is made of the items that are in it.
func (b *bounder) block(f *filler, in func(item int) bool) *patterns {
	p := &patterns{filler: f, bounder: b, row: make([]int, len(f.items)), duals: make([]float64, len(f.items))}
	for i := range f.items {
		if p.row[i] = -1; in(i) {
			p.row[i] = len(p.block)
			p.block = append(p.block, i)
		}
	}
	for t := range f.bins {
		p.every = append(p.every, t)
	}
	p.start()
	return p
}

// largest is a block of the items that make up nearly all of what all pods are worth, if these are few. What
// they are worth by themselves bounds the price, too: the assignment LP knows little of whole pods, and blocks
// that all items are dealt into prove nothing.
func (b *bounder) largest(f *filler) *patterns {
	order := make([]int, len(f.items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(f.worth[j], f.worth[i]) })
	large, part := f.newSet(), 0.0
	for _, i := range order[:min(len(order), mostLarge)] {
		large.set(i)
		if part += f.worth[i] * float64(f.items[i].count); part >= nearlyAll*f.value(f.worth) {
			return b.block(f, large.has)
		}
	}
	return nil
}

// start sets a basis of patterns of one item each.
func (p *patterns) start() {
	n := len(p.block)
	p.basis, p.inverse, p.level, p.column = make([]batch, n), make([]float64, n*n), make([]float64, n), make([]float64, n)
	for row, i := range p.block {
		it, least := &p.items[i], math.Inf(1)
		for t, bin := range p.bins {
			if !p.sets[bin.set].has(i) {
				continue
			}
			count := min(int(Vector(bin.capacity).holds(it.request)), it.count, it.most)
			if price := bin.price / float64(count); price < least {
				least, p.basis[row], p.inverse[row*n+row] = price, batch{t, []take{{i, count}}, 1}, 1/float64(count)
			}
		}
		// All counts a little different keep the simplex method from going in circles.
		p.level[row] = float64(it.count) * (1 + 1e-6*float64(row+1)/float64(n)) * p.inverse[row*n+row]
	}
	p.charge()
}

// generate looks for fillings that are worth more than they cost at the duals found, until there
// are none or the effort is spent. At first they have to be good by the worths of the bound as
// well, which are near to what the duals come to: that takes fewer rounds (Wentges 1997). It returns the
// best valid worths that it comes by, for the block alone.
func (p *patterns) generate(effort int, stopped func() bool) (best duals) {
	most := 0.0
	for smooth, steps := 1.0, firstSteps; p.effort < effort && steps <= lastSteps && !stopped(); {
		worth := make([]float64, len(p.items))
		for _, i := range p.block {
			if !p.items[i].weightless() {
				worth[i] = smooth*p.worth[i] + (1-smooth)*max(p.duals[i], 0)
			}
		}
		known := len(p.pool)
		over := p.extend(worth, 1-0.03*smooth, steps, effort, stopped)
		for _, i := range p.block {
			worth[i] /= over
		}
		if value := p.value(worth); value > most {
			best, most = duals{worth: worth, proven: worth}, value
		}
		p.optimize(effort, stopped)
		switch added := len(p.pool) - known; {
		case smooth > 0 && added <= 2:
			smooth = max(0, smooth-0.35)
		case added == 0:
			steps *= 10
		}
	}
	return best
}

// extend adds fillings to the pool that are worth more than their price at the duals, and more than a
// part of it at the worths given, until the effort is spent. It returns how often its price any
// filling may be worth at these.
func (p *patterns) extend(worth []float64, part float64, steps, effort int, stopped func() bool) (over float64) {
	over = 1 + worthwhile
	reach := p.bounder.reach(p.every, worth, true)
	p.effort += effortOfReach * len(p.bins)
	for t, bin := range p.bins {
		if reach[t] <= part {
			continue
		}
		if p.effort >= effort || stopped() {
			over = max(over, reach[t]) // unproven
			continue
		}
		found, most, spent := p.fillWhole(t, worth, bin.price*(part+worthwhile), steps, effort-p.effort)
		p.effort += spent
		over = max(over, min(reach[t], most/bin.price))
		for _, takes := range found {
			if b := (batch{t, takes, 1}); p.gain(b) > worthwhile {
				p.pool = append(p.pool, b)
			}
		}
	}
	return over
}

// optimize solves the LP over the patterns in the pool. The most promising of them are tried one
// after the other before all are looked at again. Should it go in circles, it ends.
func (p *patterns) optimize(effort int, stopped func() bool) {
	for range mostLooks {
		if stopped() {
			return
		}
		p.charge()
		gains := make([]float64, len(p.pool))
		var list []int
		for k, b := range p.pool {
			if gains[k] = p.gain(b); gains[k] > worthwhile {
				list = append(list, k)
			}
		}
		if len(list) == 0 {
			return
		}
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(gains[b], gains[a]) })
		for _, k := range list[:min(len(list), tried)] {
			if p.gain(p.pool[k]) > 0.5*gains[k] && (!p.enter(p.pool[k]) || p.effort > effort) {
				return
			}
		}
	}
}

// gain is what a pattern is worth more than it costs, as part of its price. Items that are in
// the way do not count.
func (p *patterns) gain(b batch) float64 {
	worth := 0.0
	for _, t := range b.takes {
		worth += max(0, p.duals[t.item]) * float64(t.count)
	}
	return worth/p.price[b.bin] - 1
}

// charge sets the duals.
func (p *patterns) charge() {
	n := len(p.block)
	duals := p.column
	clear(duals)
	for r, b := range p.basis {
		subtract(duals, p.inverse[r*n:r*n+n], -p.price[b.bin])
	}
	for row, i := range p.block {
		p.duals[i] = duals[row]
	}
}

// enter brings a pattern into the basis, without the items that are in the way.
func (p *patterns) enter(b batch) bool {
	b.takes = slices.DeleteFunc(slices.Clone(b.takes), func(t take) bool { return p.duals[t.item] <= 0 })
	n, gain := len(p.block), p.gain(b)*p.price[b.bin]
	out := -1
	for r := range n {
		row, v := p.inverse[r*n:r*n+n], 0.0
		for _, t := range b.takes {
			v += row[p.row[t.item]] * float64(t.count)
		}
		p.column[r] = v
		if v > 1e-9 && (out < 0 || p.level[r]*p.column[out] < p.level[out]*v) {
			out = r
		}
	}
	if out < 0 {
		return false
	}
	pivot := p.inverse[out*n : out*n+n]
	for c := range pivot {
		pivot[c] /= p.column[out]
	}
	p.level[out] /= p.column[out]
	p.effort += 2*n + len(p.pool)
	for r, f := range p.column {
		if r != out && f != 0 {
			subtract(p.inverse[r*n:r*n+n], pivot, f)
			p.level[r] = max(0, p.level[r]-f*p.level[out])
			p.effort += n
		}
	}
	for row, i := range p.block {
		p.duals[i] -= gain * pivot[row]
	}
	p.basis[out] = b
	return true
}

// round adds whole nodes of the patterns to a plan, as far as there are pods for them in rest: all
// whole ones, and one more of those with a remainder of at least up.
func (p *patterns) round(up float64, plan []batch, price float64, rest []take) ([]batch, float64) {
	add := func(b batch, nodes int) {
		for _, t := range b.takes {
			nodes = min(nodes, rest[t.item].count/t.count)
		}
		if nodes > 0 {
			for _, t := range b.takes {
				rest[t.item].count -= nodes * t.count
			}
			plan = append(plan, batch{b.bin, b.takes, nodes})
			price += float64(nodes) * p.price[b.bin]
		}
	}
	order, part := make([]int, len(p.basis)), make([]float64, len(p.basis))
	for r, level := range p.level {
		whole := math.Floor(level + 1e-3)
		order[r], part[r] = r, level-whole
		add(p.basis[r], int(whole))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(part[b], part[a]) })
	for _, r := range order {
		if part[r] >= up {
			add(p.basis[r], 1)
		}
	}
	return plan, price
}
