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

// dominantShare is the largest share of capacity that r takes of any resource; it is in (0, 1] when r fits.
func (v Vector) dominantShare(capacity Vector) float64 {
	share := 0.0
	for i, req := range v {
		if req > 0 && capacity[i] > 0 {
			share = max(share, float64(req)/float64(capacity[i]))
		}
	}
	return share
}
