package consolidate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// Terms are what a move has to be worth.
type Terms struct {
	// PerPod is what has to be saved for every pod that moves, in US dollars per hour.
	PerPod float64
	// Share of the price of the nodes that go that has to be saved beside.
	Share float64
}

// hoursPerMonth are those of AWS's price list.
const hoursPerMonth = 730

// DefaultTerms move no pod for less than 50 cents a month, and replace nothing for less than
// 10 % of its price.
func DefaultTerms() Terms { return Terms{PerPod: 0.5 / hoursPerMonth, Share: 0.1} }

// Below is what may be spent at most in the place of a node of a price, from which pods move,
// in US dollars per hour; not positive where the node's end alone would not pay.
func (t Terms) Below(price float64, pods int) float64 {
	return price*(1-t.Share) - t.PerPod*float64(pods)
}

// SpotTypes is how many instance types a spot node must be able to choose from if it is to
// replace spot nodes: the cheapest pools are the ones that are taken back first, so that a
// replacement out of few would be replaced again and again. Karpenter asks for as many.
const SpotTypes = 15

// Affordable tells whether a plan costs no more than below, whichever of its offerings EC2
// chooses: it drops those from the plan's nodes that could make it cost more. spot says that
// the nodes which are replaced are spot nodes. Pools with a Variety need all their offerings.
func Affordable(plan *fit.Plan, templates []fit.Template, variety map[string]fit.Variety, below float64, spot bool) bool {
	if plan.Price > below {
		return false
	}
	slack := (below - plan.Price) / float64(max(len(plan.Nodes), 1))
	for i := range plan.Nodes {
		n := &plan.Nodes[i]
		chosen := &templates[n.Templates[0]]
		most := chosen.Price + slack
		var kept []int
		for _, t := range n.Templates {
			if templates[t].Price <= most {
				kept = append(kept, t)
			}
		}
		if len(kept) < len(n.Templates) && variety[chosen.Pool] != nil || spot && isSpot(chosen) && spotTypes(templates, kept) < SpotTypes {
			return false
		}
		n.Templates = kept
	}
	return true
}

func isSpot(t *fit.Template) bool {
	return t.Node.Labels[v1alpha1.LabelCapacityType] == v1alpha1.CapacityTypeSpot
}

func spotTypes(templates []fit.Template, of []int) int {
	types := sets.New[string]()
	for _, t := range of {
		if isSpot(&templates[t]) {
			types.Insert(templates[t].Node.Labels[corev1.LabelInstanceTypeStable])
		}
	}
	return types.Len()
}
