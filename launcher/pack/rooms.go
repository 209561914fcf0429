package pack

import (
	"cmp"
	"slices"
)

// fillRooms puts pods into the rooms: those of higher priority first, then the
// constrained before the free and the large before the small, each where it leaves the
// least behind (best fit).
func (k *packer) fillRooms() {
	if len(k.Rooms) == 0 {
		return
	}
	free := make([]Vector, len(k.Rooms))
	pods := make([][]ShapeCount, len(k.Rooms))
	for i, room := range k.Rooms {
		free[i] = slices.Clone(room.Free)
	}
	size := k.sizes()
	for _, s := range k.roomOrder(size) {
		request := k.Shapes[s].Requests
		for _, i := range k.roomsFor(s, free, size) {
			want := min(k.left[s], free[i].holds(request))
			if got := k.Rooms[i].Node.Add(s, want); got > 0 {
				k.left[s] -= got
				free[i].subtract(request, got)
				pods[i] = append(pods[i], ShapeCount{s, got})
			}
			if k.left[s] == 0 {
				break
			}
		}
	}
	for i, list := range pods {
		if len(list) > 0 {
			k.reused = append(k.reused, RoomPods{i, list})
		}
	}
}

// sizes returns by resource what makes amounts comparable: 1 ÷ what all rooms have of it.
func (k *packer) sizes() []float64 {
	var sum []float64
	for _, room := range k.Rooms {
		for r, q := range room.Free {
			if r == len(sum) {
				sum = append(sum, 1)
			}
			sum[r] += float64(max(0, q))
		}
	}
	for r := range sum {
		sum[r] = 1 / sum[r]
	}
	return sum
}

// roomOrder lists the shapes with pods in the order in which they choose rooms.
func (k *packer) roomOrder(size []float64) []int {
	var order []int
	share := make([]float64, len(k.Shapes))
	for s, shape := range k.Shapes {
		if k.left[s] > 0 {
			order = append(order, s)
		}
		for r, q := range shape.Requests {
			if r < len(size) {
				share[s] = max(share[s], float64(q)*size[r])
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := cmp.Compare(k.Shapes[b].Priority, k.Shapes[a].Priority); c != 0 {
			return c
		}
		if k.Shapes[a].Free != k.Shapes[b].Free {
			if k.Shapes[b].Free {
				return -1
			}
			return 1
		}
		return cmp.Compare(share[b], share[a])
	})
	return order
}

// roomsFor lists the rooms that take a pod of the shape, the tightest first.
func (k *packer) roomsFor(s int, free []Vector, size []float64) []int {
	var rooms []int
	room := make([]float64, len(free))
	for i, v := range free {
		if v.holds(k.Shapes[s].Requests) < 1 || !k.Rooms[i].Fits(s) {
			continue
		}
		rooms = append(rooms, i)
		for r, q := range v {
			if k.Shapes[s].Requests[r] > 0 {
				room[i] += float64(q) * size[r]
			}
		}
	}
	slices.SortStableFunc(rooms, func(a, b int) int { return cmp.Compare(room[a], room[b]) })
	return rooms
}
