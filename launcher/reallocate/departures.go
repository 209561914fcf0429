package reallocate

import (
	"sync"
	"time"
)

// departures are when pods left nodes last. Its zero value is ready for use; it is safe for
// concurrent use, as pods leave at any time.
type departures struct {
	mu     sync.Mutex
	byNode map[string]time.Time
}

func (d *departures) note(node string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byNode == nil {
		d.byNode = map[string]time.Time{}
	}
	d.byNode[node] = now
}

// of returns when the last pod left a node; zero if none has in the life of this process.
func (d *departures) of(node string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byNode[node]
}

func (d *departures) forget(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byNode, node)
}
