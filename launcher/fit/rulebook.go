package fit

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// ruleBook makes the rules of a Space; equal rules of several classes become one.
type ruleBook struct {
	space   *Space
	rules   map[string]int
	company map[string]*company
	byKey   map[string]int // topologies
}

// makeRules reads the constraints of all classes off their PreFilter states.
func (s *Space) makeRules() error {
	b := &ruleBook{s, map[string]int{}, map[string]*company{}, map[string]int{}}
	for id, c := range s.classes {
		if c.rejected != "" {
			continue
		}
		b.addAntiAffinity(c)
		if c.daemon {
			continue
		}
		c.ports = !c.skips(names.NodePorts)
		if err := b.addSpread(c); err != nil {
			return err
		}
		if err := b.addAffinity(id, c); err != nil {
			return err
		}
	}
	b.match()
	for _, k := range s.kinds {
		for _, t := range s.topologies {
			k.domains = append(k.domains, t.index(k.info.Node().Labels))
		}
	}
	return nil
}

func (c *class) skips(plugin string) bool {
	return c.rejected != "" || c.state.GetSkipFilterPlugins().Has(plugin)
}

// topology returns the index of a key.
func (b *ruleBook) topology(key string) int {
	if key == corev1.LabelHostname {
		return host
	}
	t, ok := b.byKey[key]
	if !ok {
		t = len(b.space.topologies)
		b.byKey[key] = t
		topo := &topology{key, map[string]int{}}
		for _, k := range b.space.kinds {
			if v, ok := k.info.Node().Labels[key]; ok {
				topo.add(v)
			}
		}
		for _, n := range b.space.input.Nodes {
			if v, ok := n.Node().Labels[key]; ok {
				topo.add(v)
			}
		}
		b.space.topologies = append(b.space.topologies, topo)
	}
	return t
}

func (t *topology) add(value string) {
	if _, ok := t.values[value]; !ok {
		t.values[value] = len(t.values)
	}
}

func (t *topology) index(labels map[string]string) int {
	if v, ok := labels[t.key]; ok {
		if i, ok := t.values[v]; ok {
			return i
		}
	}
	return -1
}

// rule returns the index of the rule with a signature, made when it is new.
func (b *ruleBook) rule(signature string, made func() *rule) int {
	i, ok := b.rules[signature]
	if !ok {
		i = len(b.space.rules)
		b.rules[signature] = i
		b.space.rules = append(b.space.rules, made())
	}
	return i
}

// addSpread adds the hard topology spread constraints, the profile's defaults included, as
// PodTopologySpread's PreFilter parsed and counted them.
func (b *ruleBook) addSpread(c *class) error {
	if c.skips(names.PodTopologySpread) {
		return nil
	}
	state, ok := spreadOf(c.state)
	if !ok {
		return fmt.Errorf("%s left a state that is not known here", names.PodTopologySpread)
	}
	counts, counted := state.counts, state.counted(c.sample)
	c.domains = b.space.domainsOf(c, len(counts), counted)
	for i := range counts {
		p, key := state.constraints.Index(i), state.key(i)
		selector := state.selector(i)
		if selector == nil {
			return fmt.Errorf("%s: Selector is a %s", names.PodTopologySpread, p.FieldByName("Selector").Type())
		}
		skew, minDomains := int(p.FieldByName("MaxSkew").Int()), int(p.FieldByName("MinDomains").Int())
		signature := fmt.Sprintf("spread %s %s %q %d %d %s", c.sample.Namespace, key, selector, skew, minDomains, counted)
		t := b.topology(key)
		r := b.rule(signature, func() *rule {
			made := &rule{topology: t, spread: true, maxSkew: skew, minDomains: minDomains}
			made.matches = b.matching(func(p *corev1.Pod, _ labels.Set) bool {
				return p.Namespace == c.sample.Namespace && !selector.Empty() && selector.Matches(labels.Set(p.Labels))
			})
			if t == host {
				made.crowd = counts[i]
			} else {
				made.selects = b.space.selected(c.sample)
				made.counts = b.space.topologies[t].fill(counts[i])
				for v := range counts[i] {
					made.domains = append(made.domains, b.space.topologies[t].values[v])
				}
				for _, v := range c.domains[i] {
					if d := b.space.topologies[t].values[v]; !slices.Contains(made.domains, d) {
						made.domains = append(made.domains, d)
					}
				}
			}
			return made
		})
		c.owned = append(c.owned, r)
	}
	return nil
}

// fill turns counts by value into counts by domain.
func (t *topology) fill(byValue map[string]int) []int {
	for v := range byValue {
		t.add(v)
	}
	counts := make([]int, len(t.values))
	for v, n := range byValue {
		counts[t.values[v]] = n
	}
	return counts
}

func (b *ruleBook) addAntiAffinity(c *class) {
	for _, term := range c.info.RequiredAntiAffinityTerms {
		t := b.topology(term.TopologyKey)
		c.owned = append(c.owned, b.rule("anti "+b.signature(term), func() *rule {
			return &rule{topology: t, matches: b.matching(b.termMatches(term))}
		}))
	}
}

// addAffinity adds the required pod affinity, and the domains that the cluster's pods close
// to the class (plugins/interpodaffinity/filtering.go, preFilterState).
func (b *ruleBook) addAffinity(id int, c *class) error {
	if c.skips(names.InterPodAffinity) {
		return nil
	}
	state, err := pluginState(c.state, names.InterPodAffinity)
	if err != nil {
		return err
	}
	blocked := counted(state.FieldByName("existingAntiAffinityCounts"))
	maps.Copy(blocked, counted(state.FieldByName("antiAffinityCounts")))
	for d := range blocked {
		c.avoided = append(c.avoided, d.key)
	}
	for i, k := range b.space.kinds {
		for d := range blocked {
			value, ok := k.info.Node().Labels[d.key]
			c.fits[i] = c.fits[i] && (!ok || value != d.value)
		}
	}
	if len(c.info.RequiredAffinityTerms) > 0 {
		b.addCompany(id, c, counted(state.FieldByName("affinityCounts")))
	}
	return nil
}

func (b *ruleBook) addCompany(id int, c *class, existing map[domain]int) {
	terms := c.info.RequiredAffinityTerms
	for _, term := range terms {
		c.wants += b.signature(term) + ";"
		if term.TopologyKey == corev1.LabelHostname {
			c.exact = true // who meets whom on one node is the plan's own choice
			if len(existing) == 0 {
				b.mate(id, term)
			}
		}
	}
	if c.exact {
		return
	}
	if c.company = b.company[c.wants]; c.company != nil {
		return
	}
	co := &company{any: len(existing) > 0}
	for _, term := range terms {
		t := b.topology(term.TopologyKey)
		byValue := map[string]int{}
		for d, n := range existing {
			if d.key == term.TopologyKey {
				byValue[d.value] = n
			}
		}
		co.topologies = append(co.topologies, t)
		co.counts = append(co.counts, b.space.topologies[t].fill(byValue))
	}
	co.matches = b.matching(func(p *corev1.Pod, ns labels.Set) bool {
		return !slices.ContainsFunc(terms, func(t fwk.AffinityTerm) bool { return !b.termMatches(t)(p, ns) })
	})
	b.company[c.wants], c.company = co, co
}

// maxMates bounds the pods of a class that others want to share a host with, for which
// room is found pod by pod with the others.
const maxMates = 200

// mate notes whom a class has to share hosts with.
func (b *ruleBook) mate(id int, term fwk.AffinityTerm) {
	waiting := make([]int, len(b.space.classes))
	for _, sh := range b.space.shapes {
		waiting[sh.class] += len(sh.waiting)
	}
	for i, matches := range b.matching(b.termMatches(term)) {
		if c := b.space.classes[i]; matches && !c.daemon && waiting[i] <= maxMates {
			c.exact = true
			b.space.mates = append(b.space.mates, [2]int{id, i})
		}
	}
}

func (b *ruleBook) signature(t fwk.AffinityTerm) string {
	return fmt.Sprintf("%s %v %q %q", t.TopologyKey, slices.Sorted(maps.Keys(t.Namespaces)), t.NamespaceSelector, t.Selector)
}

func (b *ruleBook) termMatches(t fwk.AffinityTerm) func(*corev1.Pod, labels.Set) bool {
	return func(p *corev1.Pod, ns labels.Set) bool { return t.Matches(p, ns) }
}

// matching tells for every class whether its pods match.
func (b *ruleBook) matching(matches func(*corev1.Pod, labels.Set) bool) []bool {
	found := make([]bool, len(b.space.classes))
	for i, c := range b.space.classes {
		found[i] = matches(c.sample, c.nsLabels)
	}
	return found
}

// match tells the classes which rules count them and in which topologies they need a domain.
func (b *ruleBook) match() {
	s := b.space
	for i, c := range s.classes {
		for r, rule := range s.rules {
			owned := slices.Contains(c.owned, r)
			if rule.matches[i] {
				c.matched = append(c.matched, r)
			}
			switch {
			case rule.topology != host && (rule.matches[i] || owned):
				c.topologies = append(c.topologies, rule.topology)
			case rule.topology == host && rule.matches[i]:
				c.hostMatched = append(c.hostMatched, r)
			}
			if rule.topology == host && owned {
				c.hostOwned = append(c.hostOwned, hostRule{r, rule.bound(i), rule.matches[i]})
			}
		}
		for _, co := range b.company {
			if co.matches[i] || c.company == co {
				c.topologies = append(c.topologies, co.topologies...)
			}
		}
		slices.Sort(c.topologies)
		c.topologies = slices.Compact(c.topologies)
	}
	for _, r := range s.rules {
		if r.topology != host {
			n := len(s.topologies[r.topology].values)
			r.counts = append(r.counts, make([]int, n-len(r.counts))...)
			r.placed, r.carried = make([]int, n), make([]int, n)
		}
	}
	for _, signature := range slices.Sorted(maps.Keys(b.company)) {
		co := b.company[signature]
		for i, t := range co.topologies {
			co.counts[i] = append(co.counts[i], make([]int, len(s.topologies[t].values)-len(co.counts[i]))...)
		}
		s.companies = append(s.companies, co)
	}
}
