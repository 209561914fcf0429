package pack

import "math"

// holds returns how many pods with the requests r fit into v.
func (v Vector) holds(r Vector) int {
	n := int64(math.MaxInt32)
	for i, req := range r {
		if req > 0 {
			n = min(n, max(0, v[i])/req)
		}
	}
	return int(n)
}

// subtract takes n times r from v.
func (v Vector) subtract(r Vector, n int) {
	for i, req := range r {
		v[i] -= req * int64(n)
	}
}
