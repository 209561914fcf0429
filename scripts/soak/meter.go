package soak

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// sampleEvery is how often the daemons' memory is read.
const sampleEvery = 2 * time.Second

// meter follows the daemons' memory.
type meter struct {
	daemons *daemons

	mu          sync.Mutex
	from, until time.Time // samples count in between
	by          map[string]*series
}

// series is the memory of one daemon by time.
type series struct {
	last    float64 // MiB
	peak    float64
	samples []sample  // since
	started time.Time // its process
}

type sample struct{ minutes, mib float64 }

func newMeter(d *daemons) *meter { return &meter{daemons: d, by: map[string]*series{}} }

// watch says in which time growth is looked for.
func (m *meter) watch(from, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from, m.until = from, until
}

func (m *meter) run(ctx context.Context) {
	for sleep(ctx, sampleEvery) {
		m.daemons.each(m.read)
	}
}

func (m *meter) read(name string, pid int, started time.Time) {
	usage, err := devcluster.UsageOf(pid)
	if err != nil {
		return // it has just ended
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.by[name]
	if s == nil {
		s = &series{}
		m.by[name] = s
	}
	s.last = float64(usage.Memory) / (1 << 20)
	s.peak = max(s.peak, s.last)
	if now := time.Now(); !m.from.IsZero() && now.After(m.from) && now.Before(m.until) {
		if started.After(s.started) {
			s.samples, s.started = nil, started // the line begins anew
		}
		s.samples = append(s.samples, sample{now.Sub(m.from).Minutes(), s.last})
	}
}

// now says for people how much the leading pair may use.
func (m *meter) now() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []string{"MiB:"}
	for _, name := range sortedKeys(m.by) {
		all = append(all, fmt.Sprintf("%s %.0f", name, m.by[name].last))
	}
	return strings.Join(all, " ")
}

// slope is the growth in MiB a minute, by least squares; zero of fewer than two samples.
func slope(samples []sample) float64 {
	n := float64(len(samples))
	var sx, sy, sxx, sxy float64
	for _, s := range samples {
		sx, sy, sxx, sxy = sx+s.minutes, sy+s.mib, sxx+s.minutes*s.minutes, sxy+s.minutes*s.mib
	}
	spread := n*sxx - sx*sx
	if spread == 0 {
		return 0
	}
	return (n*sxy - sx*sy) / spread
}
