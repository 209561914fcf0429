package fit

import (
	"math"
)

// allowed tells whether one more pod of the class may go to the cell.
func (o *settler) allowed(c *class, id int, at *cell) bool {
	for _, r := range c.owned {
		rule := o.rules[r]
		if rule.topology == host {
			continue
		}
		d := at.domain(c, rule.topology)
		if rule.spread {
			if d < 0 || rule.counts[d]+one(rule.matches[id])-rule.emptiest() > rule.maxSkew {
				return false
			}
		} else if d >= 0 && rule.placed[d] > 0 {
			return false
		}
	}
	for _, r := range c.matched {
		rule := o.rules[r]
		if rule.topology == host {
			continue
		}
		d := at.domain(c, rule.topology)
		if d < 0 || rule.carried[d] == 0 {
			continue
		}
		if !rule.spread || rule.counts[d]+1-rule.emptiest() > rule.maxSkew {
			return false
		}
	}
	return c.company == nil || c.company.allows(c, id, at)
}

// allows tells whether the class finds its company in the cell, or may be the first.
func (co *company) allows(c *class, id int, at *cell) bool {
	met := true
	for i, t := range co.topologies {
		d := at.domain(c, t)
		if d < 0 {
			return false
		}
		met = met && co.counts[i][d] > 0
	}
	return met || !co.any && co.matches[id]
}

// emptiest returns the fewest matching pods in any domain that a spread rule compares.
func (r *rule) emptiest() int {
	if len(r.domains) < r.minDomains {
		return 0
	}
	least := math.MaxInt
	for _, d := range r.domains {
		least = min(least, r.counts[d])
	}
	return least
}

// count takes in that a pod of the class went to the cell.
func (o *settler) count(class int, at *cell) {
	c := o.classes[class]
	for _, r := range c.matched {
		rule := o.rules[r]
		if rule.topology == host {
			continue
		}
		if d := at.domain(c, rule.topology); d >= 0 {
			rule.placed[d]++
			if rule.spread {
				rule.counts[d]++
			}
		}
	}
	for _, r := range c.owned {
		if rule := o.rules[r]; rule.topology != host {
			if d := at.domain(c, rule.topology); d >= 0 {
				rule.carried[d]++
			}
		}
	}
	for _, co := range o.companies {
		if !co.matches[class] {
			continue
		}
		co.any = true
		for i, t := range co.topologies {
			if d := at.domain(c, t); d >= 0 {
				co.counts[i][d]++
			}
		}
	}
}
