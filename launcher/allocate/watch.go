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
	snapshot := make([]Reservation, 0, len(l.pods))
	for _, e := range l.pods {
		snapshot = append(snapshot, e.Reservation)
	}
	changes := make(chan []Reservation, watcherBuffer)
	l.watchers[changes] = ctx
	return snapshot, changes
}

// publish tells the watchers what changed.
func (l *loop) publish() {
	if len(l.changed) == 0 {
		return
	}
	for changes, ctx := range l.watchers {
		select {
		case changes <- slices.Clone(l.changed):
			if ctx.Err() == nil {
				continue
			}
		default: // too slow
		}
		close(changes)
		delete(l.watchers, changes)
	}
	l.changed = nil
}

func (l *loop) closeWatchers() {
	for changes := range l.watchers {
		close(changes)
	}
}
