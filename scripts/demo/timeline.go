package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// timeline prints lines with the time since the round's first pod.
type timeline struct {
	mu      sync.Mutex
	out     io.Writer
	since   time.Time
	tallies map[string]*tally
}

// tally gathers repeated news into one line.
type tally struct {
	n     int
	text  func(n int) string
	timer *time.Timer
}

// tallyFor is how long repeated news is gathered.
const tallyFor = 50 * time.Millisecond

func newTimeline(out io.Writer) *timeline {
	return &timeline{out: out, tallies: map[string]*tally{}}
}

func (t *timeline) start(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = at
}

func (t *timeline) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = time.Time{}
}

// title prints a heading.
func (t *timeline) title(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n%s\n", fmt.Sprintf(format, args...)) //nolint:errcheck // a terminal
}

func (t *timeline) say(format string, args ...any) { t.sayAt(time.Now(), format, args...) }

func (t *timeline) sayAt(at time.Time, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp := strings.Repeat(" ", 10)
	if !t.since.IsZero() {
		stamp = fmt.Sprintf("%+9.3fs", at.Sub(t.since).Seconds())
	}
	fmt.Fprintf(t.out, "%s  %s\n", stamp, fmt.Sprintf(format, args...)) //nolint:errcheck // a terminal
}

// tally counts news of one kind, and tells the count with the last text once no more comes.
func (t *timeline) tally(kind string, text func(n int) string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	y := t.tallies[kind]
	if y == nil {
		y = &tally{}
		t.tallies[kind] = y
		line := ""
		y.timer = time.AfterFunc(tallyFor, func() {
			t.mu.Lock()
			delete(t.tallies, kind)
			line = y.text(y.n)
			t.mu.Unlock()
			t.say("%s", line)
		})
	}
	y.n, y.text = y.n+1, text
	y.timer.Reset(tallyFor)
}
