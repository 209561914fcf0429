package day

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// sampled is how often the price is held against its lower bound.
const sampled = 15 * time.Minute

// bill is what a day cost.
type bill struct {
	dollars   float64
	launches  int
	unplaced  int
	disrupted map[string]int // pods, by why
	waits     []time.Duration
	passes    []time.Duration // of consolidation, in real time
	samples   []Sample
}

// Sample is a moment of the day.
type Sample struct {
	Hour  float64 `json:"hour"`
	Price float64 `json:"pricePerHour"`
	// Bound is the least that the same pods could cost at the prices of the moment, proven.
	Bound float64 `json:"lowerBoundPerHour"`
	Nodes int     `json:"nodes"`
	Pods  int     `json:"pods"`
}

func (c *cluster) price() (sum float64) {
	for _, n := range c.nodes {
		sum += c.market.priceOf(n.Node)
	}
	return sum
}

// charge pays for a step.
func (c *cluster) charge() { c.bill.dollars += c.price() * step.Hours() }

// sample holds the cluster against the cheapest one for its pods, made from nothing.
func (c *cluster) sample() error {
	var pods []*corev1.Pod
	add := func(p *pod) {
		free := p.DeepCopy()
		free.Spec.NodeName = ""
		pods = append(pods, free)
	}
	for _, n := range c.nodes {
		for _, p := range n.pods {
			add(p)
		}
	}
	for _, p := range c.waiting {
		add(p)
	}
	plan, err := c.judge.engine.Plan(c.ctx, fit.Input{Pods: pods, Templates: c.market.templates, Alternatives: 1})
	if err != nil {
		return err
	}
	c.bill.samples = append(c.bill.samples, Sample{
		Hour: c.now.Hours(), Price: c.price(), Bound: plan.LowerBound, Nodes: len(c.nodes), Pods: len(pods),
	})
	return nil
}

// figures sums up.
func (b *bill) figures(policy string, took time.Duration) Figures {
	f := Figures{Policy: policy, Dollars: b.dollars, Launches: b.launches, Pods: len(b.waits), Unplaced: b.unplaced, Disrupted: b.disrupted, Samples: b.samples, TookSeconds: took.Seconds()}
	for _, s := range b.samples {
		f.BoundDollars += s.Bound * sampled.Hours()
		f.PeakNodes = max(f.PeakNodes, s.Nodes)
	}
	f.Ratio = f.Dollars / f.BoundDollars
	slices.Sort(b.passes)
	if n := len(b.passes); n > 0 {
		f.Passes, f.PassP50, f.PassMax = n, b.passes[n/2].Seconds()*1000, b.passes[n-1].Seconds()*1000
	}
	slices.Sort(b.waits)
	for _, w := range b.waits {
		f.WaitedMinutes += w.Minutes()
	}
	if n := len(b.waits); n > 0 {
		f.WaitP50, f.WaitP99, f.WaitMax = b.waits[n/2].Seconds(), b.waits[n*99/100].Seconds(), b.waits[n-1].Seconds()
	}
	return f
}
