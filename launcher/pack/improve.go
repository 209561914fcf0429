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

// improve ruins and recreates (Schrimpf et al. 2000): a few nodes, those more likely that
// lose much, are emptied and their pods packed anew with worths that are a little stirred;
// the new nodes stay when they cost less. It ends when the effort is spent or when no more
// than gap could be saved.
func (k *packer) improve(f *filler, plan []batch, gap float64) []batch {
	nodes := f.expand(plan)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // equal input has to give an equal plan
	worth := slices.Clone(f.worth)
	var takes []take
	for round := 0; f.effort < k.Effort && gap > 0 && len(nodes) > 1; round++ {
		f.effort++
		if round%16 == 0 && k.stopped() {
			break
		}
		ruined := f.ruin(nodes, r)
		takes = takes[:0]
		before, loss := 0.0, 0.0
		for _, n := range ruined {
			takes = append(takes, nodes[n].takes...)
			before += f.price[nodes[n].bin]
			loss += nodes[n].loss
			f.used[nodes[n].bin]--
		}
		if loss > 1e-6*before {
			f.load(takes)
			for _, i := range f.active {
				worth[i] = f.worth[i] * (1 + 0.2*(r.Float64()-0.5))
			}
			st := style{large: []float64{0, 0.05, 0.15, 0.4, 1}[r.IntN(5)], chunk: []float64{0, 0.25, 1}[r.IntN(3)]}
			if fresh, price, ok := f.greedy(st, worth, before*(1-1e-9)); ok {
				gap -= before - price
				nodes = f.replace(nodes, ruined, fresh)
				continue
			} else {
				for _, b := range fresh {
					f.used[b.bin] -= b.nodes
				}
			}
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
	clear(f.used)
	for _, b := range plan {
		n := placed{b.bin, b.takes, f.price[b.bin]}
		for _, t := range b.takes {
			n.loss -= float64(t.count) * f.worth[t.item]
		}
		for range b.nodes {
			nodes = append(nodes, n)
		}
		f.used[b.bin] += b.nodes
	}
	return nodes
}

// ruin picks two to eight nodes.
func (f *filler) ruin(nodes []placed, r *rand.Rand) []int {
	want := min(len(nodes), 2+r.IntN(7))
	var picked []int
	for tries := 0; len(picked) < want && tries < 4*want; tries++ {
		// The worst of three.
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

// replace puts fresh nodes in the place of ruined ones.
func (f *filler) replace(nodes []placed, ruined []int, fresh []batch) []placed {
	for _, n := range slices.Backward(ruined) {
		nodes[n] = nodes[len(nodes)-1]
		nodes = nodes[:len(nodes)-1]
	}
	for _, b := range fresh {
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

// collect turns nodes into batches of one; identical ones come one after the other as they
// are.
func collect(nodes []placed) []batch {
	plan := make([]batch, 0, len(nodes))
	for _, n := range nodes {
		plan = append(plan, batch{n.bin, n.takes, 1})
	}
	return plan
}
