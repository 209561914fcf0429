package pack

import (
	"math/rand/v2"
	"slices"
)

// placed is a node of an arithmetic plan.
type placed struct {
	bin   int
	takes []take
	loss  float64 // price less the worth of the pods
}

// styles are what improvement tries; the first is the best for a whole plan.
var styles = [...]style{
	{large: 0.05, chunk: 0.25},
	{large: 0, chunk: 0},
	{large: 0.15, chunk: 0.25},
	{large: 0.15, chunk: 1},
	{large: 0.4, chunk: 0},
	{large: 0.4, chunk: 0.25},
	{large: 1, chunk: 1},
}

// stir is how far worths are moved at random, either way.
const stir = 0.1

// mostRuined bounds the nodes that are emptied at a time.
const mostRuined = 14

// improve ruins and recreates (Schrimpf et al. 2000): a few nodes, those more likely that
// lose much, are emptied and their pods packed anew, guided by the worths that led to the plan, a
// little stirred; the new nodes stay unless they cost more. It ends when the effort is spent or when no more
// than gap could be saved.
func (k *packer) improve(f *filler, plan []batch, worth, reach []float64, gap float64) []batch {
	nodes := f.expand(plan)
	clear(f.used)
	for _, n := range nodes {
		f.used[n.bin]++
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // equal input has to give an equal plan
	guide := slices.Clone(worth)
	var takes []take
	for round := 0; f.effort < k.Effort && gap > 0 && len(nodes) > 0; round++ {
		if round%16 == 0 && k.stopped() {
			break
		}
		f.effort += 1000 // rounds that come to nothing count, too
		ruined := f.ruin(nodes, r)
		takes = takes[:0]
		before, loss := 0.0, 0.0
		for _, n := range ruined {
			takes = append(takes, nodes[n].takes...)
			before += f.price[nodes[n].bin]
			loss += nodes[n].loss
			f.used[nodes[n].bin]--
		}
		for _, t := range takes {
			guide[t.item] = worth[t.item] * (1 + stir*(2*r.Float64()-1))
		}
		f.load(takes, styles[r.IntN(len(styles))], guide, reach)
		var fresh []batch
		price := infinite
		if loss > 1e-6*before {
			fresh, price = f.greedy(before * (1 + 1e-9))
		}
		if price < infinite {
			gap -= before - price
			nodes = append(without(nodes, ruined), f.expand(fresh)...)
			continue
		}
		for _, b := range fresh {
			f.used[b.bin] -= b.nodes
		}
		for _, n := range ruined {
			f.used[nodes[n].bin]++
		}
	}
	return collect(nodes)
}

// expand lists the nodes of a plan one by one.
func (f *filler) expand(plan []batch) []placed {
	var nodes []placed
	for _, b := range plan {
		n := placed{b.bin, b.takes, f.price[b.bin]}
		for _, t := range b.takes {
			n.loss -= float64(t.count) * f.worth[t.item]
		}
		for range b.nodes {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// ruin picks up to mostRuined nodes, each the worst of three.
func (f *filler) ruin(nodes []placed, r *rand.Rand) []int {
	want := min(len(nodes), 1+r.IntN(mostRuined))
	var picked []int
	for tries := 0; len(picked) < want && tries < 4*want; tries++ {
		n := r.IntN(len(nodes))
		for range 2 {
			if o := r.IntN(len(nodes)); nodes[o].loss > nodes[n].loss {
				n = o
			}
		}
		if !slices.Contains(picked, n) {
			picked = append(picked, n)
		}
	}
	slices.Sort(picked)
	return picked
}

// without removes the nodes at the ascending positions given.
func without(nodes []placed, positions []int) []placed {
	for _, n := range slices.Backward(positions) {
		nodes[n] = nodes[len(nodes)-1]
		nodes = nodes[:len(nodes)-1]
	}
	return nodes
}

// collect turns nodes into batches, those of one bin side by side.
func collect(nodes []placed) []batch {
	slices.SortStableFunc(nodes, func(a, b placed) int { return a.bin - b.bin })
	plan := make([]batch, 0, len(nodes))
	for _, n := range nodes {
		if last := len(plan) - 1; last >= 0 && plan[last].bin == n.bin && slices.Equal(plan[last].takes, n.takes) {
			plan[last].nodes++
			continue
		}
		plan = append(plan, batch{n.bin, n.takes, 1})
	}
	return plan
}
