package ec2

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// mergeWindow is how long a call about one instance waits for calls about others. Nobody
// waits for pods to start when instances end.
const mergeWindow = 100 * time.Millisecond

// merged makes calls about one instance each into calls about many: EC2 allows a few of
// them a second, whatever number of instances they name. Whoever comes first makes the
// call, on behalf of all who come within the window.
type merged[T any] struct {
	clock clock.Clock
	most  int // instances that a call may name
	// call asks about all ids, which are distinct. An instance that it has no answer for is fine.
	call func(ctx context.Context, ids []string) (map[string]answer[T], error)

	mu   sync.Mutex
	next *crowd[T] // that can still be joined
}

// answer is what a call says about one instance.
type answer[T any] struct {
	value T
	err   error
}

// crowd shares one call.
type crowd[T any] struct {
	ids  []string
	full chan struct{} // closed when no more may join
	done chan struct{} // closed when the fields below are set

	answers map[string]answer[T]
	err     error
}

// do asks about one instance. The context bounds the waiting of a caller that joins
// others; the call itself goes on for them.
func (m *merged[T]) do(ctx context.Context, id string) (T, error) {
	c, first := m.join(id)
	if first {
		m.lead(ctx, c)
	}
	var none T
	select {
	case <-c.done:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if c.err != nil {
		return none, c.err
	}
	return c.answers[id].value, c.answers[id].err
}

func (m *merged[T]) join(id string) (c *crowd[T], first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first = m.next == nil; first {
		m.next = &crowd[T]{full: make(chan struct{}), done: make(chan struct{})}
	}
	c = m.next
	if c.ids = append(c.ids, id); len(c.ids) == m.most {
		close(c.full)
		m.next = nil
	}
	return c, first
}

// lead makes the call of a crowd when nobody can join it any more.
func (m *merged[T]) lead(ctx context.Context, c *crowd[T]) {
	timer := m.clock.NewTimer(mergeWindow)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-c.full:
	}
	m.mu.Lock()
	if m.next == c {
		m.next = nil
	}
	m.mu.Unlock()
	slices.Sort(c.ids)
	c.answers, c.err = m.call(context.WithoutCancel(ctx), slices.Compact(c.ids)) // every call has a deadline of its own
	close(c.done)
}
