package pack

import "math"

// cholesky replaces the lower triangle of a matrix by its factor.
func cholesky(a []float64, n int) bool {
	for i := range n {
		ri := a[i*n : i*n+i+1]
		for j := range i {
			ri[j] = (ri[j] - dot(ri[:j], a[j*n:j*n+j])) / a[j*n+j]
		}
		pivot := 1e-13 * ri[i]
		sum := ri[i] - dot(ri[:i], ri[:i])
		if !(sum > 0) && !(pivot > 0) {
			return false
		}
		ri[i] = math.Sqrt(max(sum, pivot))
	}
	return true
}

// dot is the inner product of two vectors of equal length. Four sums side by side keep the
// processor from waiting for each addition.
func dot(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += v * b[i]
	}
	return s0 + s1 + (s2 + s3)
}

// solveCholesky solves for b, in place, with the factor a.
func solveCholesky(a, b []float64, n int) {
	for i := range n {
		b[i] = (b[i] - dot(a[i*n:i*n+i], b[:i])) / a[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] /= a[i*n+i]
		subtract(b[:i], a[i*n:i*n+i], b[i])
	}
}

// subtract takes f times b from a, which is as long.
func subtract(a, b []float64, f float64) {
	for len(a) >= 4 && len(b) >= 4 {
		a[0] -= f * b[0]
		a[1] -= f * b[1]
		a[2] -= f * b[2]
		a[3] -= f * b[3]
		a, b = a[4:], b[4:]
	}
	a = a[:len(b)]
	for i, v := range b {
		a[i] -= f * v
	}
}
