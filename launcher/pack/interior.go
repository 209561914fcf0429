package pack

import "math"

// relaxation is the assignment LP over a few bins,
//
//	min Σ_b price_b·x_b   subject to   Σ_b y_ib = count_i,   Σ_i share_ibr·y_ib ≤ x_b for every row r of b,
//
// with y_ib pods of item i on x_b nodes of bin b, and its dual
//
//	max Σ_i count_i·worth_i   subject to   worth_i ≤ Σ_r share_ibr·rent_br,   Σ_r rent_br ≤ price_b.
//
// It is solved by a primal-dual interior-point method (Mehrotra 1992) that starts from,
// and stays with, points strictly feasible for both. Eliminating the items from the
// Newton system leaves one dense row per row of a bin, which is small.
type relaxation struct {
	count []float64   // by item
	price []float64   // by bin
	first []int       // by bin: its first row; one more at the end
	pairs [][]pair    // by item: the bins that it fits, in order
	share [][]float64 // by pair: the item's shares of the bin's rows

	y, z, dy, dz  []float64 // by pair: pods, slack of worth, and their directions
	theta         []float64 // by pair: y ÷ z
	x, u, dx, du  []float64 // by bin: nodes, slack of price
	q, l, dq, dl  []float64 // by row: free room, rent
	worth, dw     []float64 // by item
	normal        []float64 // matrix of the Newton system, lower triangle by rows
	rcY, rcX, rcQ []float64 // targets of the complementarity products
}

// pair is an item on a bin.
type pair struct{ bin, at int }

const interiorSteps = 25

// solve finds the optimum to a relative gap. It returns the primal objective.
func (r *relaxation) solve(gap float64) float64 {
	r.start()
	primal, dual := r.objectives()
	for range interiorSteps {
		if primal-dual <= gap*primal || !r.step() {
			break
		}
		primal, dual = r.objectives()
	}
	return primal
}

// start sets a strictly feasible point.
func (r *relaxation) start() {
	pairs, bins, n := len(r.share), len(r.price), r.first[len(r.price)]
	floats := func(n int) []float64 { return make([]float64, n) }
	r.y, r.z, r.dy, r.dz, r.rcY = floats(pairs), floats(pairs), floats(pairs), floats(pairs), floats(pairs)
	r.theta = floats(pairs)
	r.x, r.u, r.dx, r.du, r.rcX = floats(bins), floats(bins), floats(bins), floats(bins), floats(bins)
	r.q, r.l, r.dq, r.dl, r.rcQ = floats(n), floats(n), floats(n), floats(n), floats(n)
	r.worth, r.dw, r.normal = floats(len(r.count)), floats(len(r.count)), floats(n*n)
	for b, price := range r.price {
		rows := r.l[r.first[b]:r.first[b+1]]
		r.u[b] = price / float64(len(rows)+1)
		for d := range rows {
			rows[d] = r.u[b]
		}
	}
	for i, pairs := range r.pairs {
		r.worth[i] = math.Inf(1)
		for _, p := range pairs {
			r.y[p.at] = r.count[i] / float64(len(pairs))
			r.z[p.at] = r.cost(p)
			r.worth[i] = min(r.worth[i], 0.9*r.z[p.at])
			for d, a := range r.share[p.at] {
				r.q[r.first[p.bin]+d] -= a * r.y[p.at]
			}
		}
		for _, p := range pairs {
			r.z[p.at] -= r.worth[i]
		}
	}
	for b := range r.x {
		room := r.q[r.first[b]:r.first[b+1]]
		for _, q := range room {
			r.x[b] = max(r.x[b], -1.1*q)
		}
		r.x[b] += 1e-6
		for d := range room {
			room[d] += r.x[b]
		}
	}
}

// cost is what a pod of the item pays for its share of the bin.
func (r *relaxation) cost(p pair) float64 {
	cost := 0.0
	for d, a := range r.share[p.at] {
		cost += a * r.l[r.first[p.bin]+d]
	}
	return cost
}

func (r *relaxation) objectives() (primal, dual float64) {
	for b, price := range r.price {
		primal += price * r.x[b]
	}
	for i, n := range r.count {
		dual += n * r.worth[i]
	}
	return primal, dual
}

// step makes one predictor-corrector step; false when the numbers allow no more.
func (r *relaxation) step() bool {
	mu := r.complementarity(0, 0)
	r.target(0, false)
	if !r.factor() {
		return false
	}
	r.direction()
	alphaP, alphaD := r.reach()
	ahead := r.complementarity(alphaP, alphaD)
	sigma := ahead / mu
	r.target(sigma*sigma*sigma*mu, true)
	r.direction()
	alphaP, alphaD = r.reach()
	alphaP, alphaD = min(1, 0.97*alphaP), min(1, 0.97*alphaD)
	advance(r.y, r.dy, alphaP)
	advance(r.x, r.dx, alphaP)
	advance(r.q, r.dq, alphaP)
	advance(r.z, r.dz, alphaD)
	advance(r.u, r.du, alphaD)
	advance(r.l, r.dl, alphaD)
	advance(r.worth, r.dw, alphaD)
	return max(alphaP, alphaD) > 1e-4
}

func advance(v, dv []float64, alpha float64) {
	for i := range v {
		v[i] += alpha * dv[i]
	}
}

// complementarity is the mean product of a variable and its slack after a step.
func (r *relaxation) complementarity(alphaP, alphaD float64) float64 {
	sum := 0.0
	each := func(v, dv, s, ds []float64) {
		for i := range v {
			sum += (v[i] + alphaP*dv[i]) * (s[i] + alphaD*ds[i])
		}
	}
	each(r.y, r.dy, r.z, r.dz)
	each(r.x, r.dx, r.u, r.du)
	each(r.q, r.dq, r.l, r.dl)
	return sum / float64(len(r.y)+len(r.x)+len(r.q))
}

// target sets what the products shall change by to become mu, corrected for the
// predictor's second-order error.
func (r *relaxation) target(mu float64, corrected bool) {
	each := func(rc, v, dv, s, ds []float64) {
		for i := range rc {
			rc[i] = mu - v[i]*s[i]
			if corrected {
				rc[i] -= dv[i] * ds[i]
			}
		}
	}
	each(r.rcY, r.y, r.dy, r.z, r.dz)
	each(r.rcX, r.x, r.dx, r.u, r.du)
	each(r.rcQ, r.q, r.dq, r.l, r.dl)
}

// reach returns the longest steps that keep everything non-negative, at most 1/0.97.
func (r *relaxation) reach() (alphaP, alphaD float64) {
	each := func(alpha float64, v, dv []float64) float64 {
		for i := range v {
			if dv[i] < 0 {
				alpha = min(alpha, -v[i]/dv[i])
			}
		}
		return alpha
	}
	alphaP, alphaD = 1/0.97, 1/0.97
	alphaP = each(each(each(alphaP, r.y, r.dy), r.x, r.dx), r.q, r.dq)
	alphaD = each(each(each(alphaD, r.z, r.dz), r.u, r.du), r.l, r.dl)
	return alphaP, alphaD
}

// factor builds the Newton system over rents and factors it (Cholesky).
func (r *relaxation) factor() bool {
	n := len(r.l)
	clear(r.normal)
	for b := range r.price {
		for i := r.first[b]; i < r.first[b+1]; i++ {
			for j := r.first[b]; j <= i; j++ {
				r.normal[i*n+j] = r.x[b] / r.u[b]
			}
			r.normal[i*n+i] += r.q[i] / r.l[i]
		}
	}
	g, at := make([]float64, n), make([]int, n) // of one item: θ·share, and in which rows
	for _, pairs := range r.pairs {
		total, m := 0.0, 0
		for _, p := range pairs {
			theta := r.y[p.at] / r.z[p.at]
			r.theta[p.at] = theta
			total += theta
			first := r.first[p.bin]
			for i, a := range r.share[p.at] {
				g[m], at[m] = theta*a, first+i
				row := r.normal[(first+i)*n+first:]
				for j, other := range r.share[p.at][:i+1] {
					row[j] += g[m] * other
				}
				m++
			}
		}
		if m == 0 || at[m-1]-at[0] == m-1 { // the rows are side by side, as most often
			for i, gi := range g[:m] {
				first := at[i]*n + at[0]
				subtract(r.normal[first:first+i+1], g[:i+1], gi/total)
			}
			continue
		}
		for i, gi := range g[:m] {
			f, row := gi/total, r.normal[at[i]*n:at[i]*n+at[i]+1]
			for j, gj := range g[:i+1] {
				row[at[j]] -= f * gj
			}
		}
	}
	return cholesky(r.normal, n)
}

// direction solves the Newton system for the targets set.
func (r *relaxation) direction() {
	n := len(r.l)
	rhs := r.dl
	for b := range r.price {
		for i := r.first[b]; i < r.first[b+1]; i++ {
			rhs[i] = r.rcQ[i]/r.l[i] - r.rcX[b]/r.u[b]
		}
	}
	for i, pairs := range r.pairs {
		h, total := 0.0, 0.0
		for _, p := range pairs {
			h -= r.rcY[p.at] / r.z[p.at]
			total += r.theta[p.at]
		}
		r.dw[i] = h / total
		for _, p := range pairs {
			f := r.rcY[p.at]/r.z[p.at] + r.theta[p.at]*h/total
			for j, a := range r.share[p.at] {
				rhs[r.first[p.bin]+j] += a * f
			}
		}
	}
	solveCholesky(r.normal, rhs, n)
	for i, pairs := range r.pairs {
		total := 0.0
		for _, p := range pairs {
			total += r.theta[p.at]
			dz, dl := 0.0, r.dl[r.first[p.bin]:]
			for j, a := range r.share[p.at] {
				dz += a * dl[j]
			}
			r.dz[p.at] = dz
		}
		for _, p := range pairs {
			r.dw[i] += r.theta[p.at] / total * r.dz[p.at]
		}
		for _, p := range pairs {
			r.dz[p.at] -= r.dw[i]
			r.dy[p.at] = (r.rcY[p.at] - r.y[p.at]*r.dz[p.at]) / r.z[p.at]
		}
	}
	for b := range r.price {
		r.du[b] = 0
		for i := r.first[b]; i < r.first[b+1]; i++ {
			r.du[b] -= r.dl[i]
			r.dq[i] = (r.rcQ[i] - r.q[i]*r.dl[i]) / r.l[i]
		}
		r.dx[b] = (r.rcX[b] - r.x[b]*r.du[b]) / r.u[b]
	}
}
