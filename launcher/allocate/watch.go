package allocate

import (
	"context"
	"slices"
)

// watcherBuffer is how many messages a watcher may lag behind before it must start over.
const watcherBuffer = 256

// tell notes that a pod's state must be told, and counts it.
func (l *loop) tell(e *entry) {
	l.changed = append(l.changed, e.Reservation)
	l.metrics.moved(e.told, e.Phase)
	e.told = e.Phase
}

func (l *loop) watch(ctx context.Context) ([]Reservation, <-chan []Reservation) {
	l.publish() // what happened until now is in the snapshot
	for changes, gone := range l.watchers {
		if !send(changes, gone, nil) {
			close(changes)
			delete(l.watchers, changes)
		}
	}
	snapshot := make([]Reservation, 0, len(l.pods))
	for _, e := range l.pods {
		snapshot = append(snapshot, e.Reservation)
	}
	changes := make(chan []Reservation, watcherBuffer)
	l.watchers[changes] = ctx.Done()
	return snapshot, changes
}

// publish tells the watchers what changed.
func (l *loop) publish() {
	if len(l.changed) == 0 {
		return
	}
	for changes, gone := range l.watchers {
		if !send(changes, gone, slices.Clone(l.changed)) {
			close(changes)
			delete(l.watchers, changes)
		}
	}
	l.changed = nil
}

// send is false when the watcher is gone or too slow; nil changes only ask whether it is.
func send(changes chan<- []Reservation, gone <-chan struct{}, changed []Reservation) bool {
	select {
	case <-gone:
		return false
	default:
	}
	if changed == nil {
		return true
	}
	select {
	case changes <- changed:
		return true
	default:
		return false
	}
}

func (l *loop) closeWatchers() {
	for changes := range l.watchers {
		close(changes)
	}
}
