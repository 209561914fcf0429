package pack

// steps is how finely the split of a price between two resources is searched.
const steps = 20

// Worth returns the worth of one pod of each shape, in dollars per hour: a feasible
// solution of the dual of the assignment LP
//
//	min Σ price_t·x_t   subject to   Σ_s request_s·y_st ≤ capacity_t·x_t,  Σ_t y_st = count_s.
//
// Give offering t resource prices λ_t with λ_t·capacity_t ≤ price_t. Then
// π_s = min over the t that s fits of λ_t·request_s is dual feasible, so Σ count_s·π_s
// is a lower bound on the price of every plan, integer or not. Any such λ is valid;
// here the price is split between the two resources that the shapes want most, by the
// share that gives the highest bound. A shape that fits nowhere is worth 0.
func Worth(p Problem) []float64 {
	if len(p.Offerings) == 0 {
		return make([]float64, len(p.Shapes))
	}
	a, b := scarcest(p)
	best := make([]float64, len(p.Shapes))
	bestBound := -1.0
	for i := range steps + 1 {
		worth, bound := worthAt(p, a, b, float64(i)/steps)
		if bound > bestBound {
			best, bestBound = worth, bound
		}
	}
	return best
}

// worthAt prices the shapes when a share of every price is put on resource a and the rest on b.
func worthAt(p Problem, a, b int, share float64) (worth []float64, bound float64) {
	worth = make([]float64, len(p.Shapes))
	for s, shape := range p.Shapes {
		first := true
		for _, o := range p.Offerings {
			if o.Capacity.holds(shape.Requests) < 1 || !p.Fits(shape.Class, o.Kind) {
				continue
			}
			w := o.Price * (share*ratio(shape.Requests, o.Capacity, a) + (1-share)*ratio(shape.Requests, o.Capacity, b))
			if first || w < worth[s] {
				worth[s], first = w, false
			}
		}
		bound += worth[s] * float64(shape.Count)
	}
	return worth, bound
}

func ratio(req, capacity Vector, i int) float64 {
	if i >= len(req) || capacity[i] <= 0 {
		return 0
	}
	return float64(req[i]) / float64(capacity[i])
}

// scarcest returns the two resources of which the shapes take most, measured by the
// roomiest offering each fits.
func scarcest(p Problem) (a, b int) {
	var width int
	for _, o := range p.Offerings {
		width = max(width, len(o.Capacity))
	}
	largest := make(Vector, width)
	for _, o := range p.Offerings {
		for i, c := range o.Capacity {
			largest[i] = max(largest[i], c)
		}
	}
	demand := make([]float64, width)
	for _, s := range p.Shapes {
		for i := range s.Requests {
			demand[i] += float64(s.Count) * ratio(s.Requests, largest, i)
		}
	}
	for i := range demand {
		if demand[i] > demand[a] {
			a = i
		}
	}
	b = -1
	for i := range demand {
		if i != a && (b < 0 || demand[i] > demand[b]) {
			b = i
		}
	}
	return a, max(b, 0)
}
