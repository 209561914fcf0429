package fit

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// sorted puts the templates into an order that is always the same, lest the order they are
// listed in decides what is bought. It returns the input so ordered, and for each of its
// templates the caller's index.
func (in Input) sorted() (Input, []int) {
	order := make([]int, len(in.Templates))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &in.Templates[i], &in.Templates[j]
		if c := cmp.Or(strings.Compare(a.Pool, b.Pool), cmp.Compare(a.Price, b.Price)); c != 0 {
			return c
		}
		return cmp.Or(
			cmp.Compare(a.Node.Labels[corev1.LabelInstanceTypeStable], b.Node.Labels[corev1.LabelInstanceTypeStable]),
			cmp.Compare(a.Node.Labels[corev1.LabelTopologyZone], b.Node.Labels[corev1.LabelTopologyZone]),
		)
	})
	templates := make([]Template, len(order))
	for i, at := range order {
		templates[i] = in.Templates[at]
	}
	in.Templates = templates
	if in.Budget != nil {
		in.Budget = orderedBudget{in.Budget, order}
	}
	return in, order
}

// orderedBudget translates the templates' indices for the caller's budget.
type orderedBudget struct {
	Budget
	order []int
}

// Take implements Budget.
func (b orderedBudget) Take(template int) error { return b.Budget.Take(b.order[template]) }

// Give implements Budget.
func (b orderedBudget) Give(template int) { b.Budget.Give(b.order[template]) }

// restore translates the templates' indices of a plan back.
func (p *Plan) restore(order []int) {
	for i := range p.Nodes {
		templates := slices.Clone(p.Nodes[i].Templates)
		for j, t := range templates {
			templates[j] = order[t]
		}
		p.Nodes[i].Templates = templates
	}
}
