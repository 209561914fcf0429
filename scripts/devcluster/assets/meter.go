package assets

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// meter reports a long build: on a terminal one line that is rewritten every
// second, elsewhere a line every 15 seconds.
type meter struct {
	compiled   atomic.Int64
	downloaded atomic.Int64

	out      io.Writer
	terminal bool
	total    int
	begin    time.Time
	quit     chan struct{}
	done     chan struct{}
}

func startMeter(out io.Writer, total int) *meter {
	m := &meter{
		out: out, terminal: isTerminal(out), total: total, begin: time.Now(),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	go m.run()
	return m
}

func (m *meter) run() {
	defer close(m.done)
	every := 15 * time.Second
	if m.terminal {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.print(false)
		case <-m.quit:
			m.print(true)
			return
		}
	}
}

// stop prints the last line and ends the meter.
func (m *meter) stop() {
	close(m.quit)
	<-m.done
}

func (m *meter) print(last bool) {
	line := fmt.Sprintf("%6s  %d packages compiled, of at most %d",
		time.Since(m.begin).Round(time.Second), m.compiled.Load(), m.total)
	if n := m.downloaded.Load(); n > 0 {
		line += fmt.Sprintf("; %d modules downloaded", n)
	}
	switch {
	case !m.terminal:
		fmt.Fprintln(m.out, line)
	case last:
		fmt.Fprintf(m.out, "\r\x1b[K%s\n", line)
	default:
		fmt.Fprintf(m.out, "\r\x1b[K%s", line)
	}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
