package pack

import "math"

// cholesky replaces the lower triangle of a matrix by its factor.
func cholesky(a []float64, n int) bool {
	for i := range n {
		ri := a[i*n : i*n+i+1]
		for j := range i {
			rj := a[j*n : j*n+j+1]
			sum := ri[j]
			for k := range j {
				sum -= ri[k] * rj[k]
			}
			ri[j] = sum / rj[j]
		}
		sum := ri[i]
		pivot := 1e-13 * sum
		for k := range i {
			sum -= ri[k] * ri[k]
		}
		if !(sum > 0) && !(pivot > 0) {
			return false
		}
		ri[i] = math.Sqrt(max(sum, pivot))
	}
	return true
}

// solveCholesky solves for b, in place, with the factor a.
func solveCholesky(a, b []float64, n int) {
	for i := range n {
		for k := range i {
			b[i] -= a[i*n+k] * b[k]
		}
		b[i] /= a[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] /= a[i*n+i]
		for k := range i {
			b[k] -= a[i*n+k] * b[i]
		}
	}
}
