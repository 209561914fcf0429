package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// Terminal control sequences (ECMA-48, and xterm's for the second screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the second screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	restOfLine  = "\x1b[K" // erased
	restBelow   = "\x1b[J" // erased
)

// Keys that are longer than a byte.
const (
	keyUp, keyDown         = "\x1b[A", "\x1b[B"
	keyPageUp, keyPageDown = "\x1b[5~", "\x1b[6~"
)

const footer = "q quit  ↑↓ scroll  s order: "

// screen draws a view of the nodes again and again.
type screen struct {
	out     io.Writer
	keys    <-chan string // what is typed, as it comes
	tick    <-chan time.Time
	now     func() time.Time
	size    func() (width, height int, err error)
	look    func(context.Context) (*nodes.View, error)
	trouble func() error // that the view may be out of date for

	sort string
	skip int
	view *nodes.View
}

// run draws until a key or the context ends it.
func (s *screen) run(ctx context.Context) error {
	if _, err := io.WriteString(s.out, enterScreen); err != nil {
		return err
	}
	defer io.WriteString(s.out, leaveScreen) //nolint:errcheck // there is nobody to tell
	for first := true; ; first = false {
		if first || s.view == nil {
			if err := s.refresh(ctx); err != nil {
				return err
			}
		}
		if err := s.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.tick:
			if err := s.refresh(ctx); err != nil {
				return err
			}
		case typed, open := <-s.keys:
			if !open || s.press(typed) {
				return nil
			}
		}
	}
}

// refresh looks again.
func (s *screen) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	view, err := s.look(ctx)
	if err != nil {
		return err
	}
	s.view = view
	return nil
}

// draw writes the view over what is on the screen.
func (s *screen) draw() error {
	width, height, err := s.size()
	if err != nil {
		return fmt.Errorf("terminal size: %w", err)
	}
	if err := s.view.Order(s.sort); err != nil {
		return err
	}
	below := footer + s.sort
	if err := s.trouble(); err != nil {
		below = "OUT OF DATE: " + strings.Join(strings.Fields(err.Error()), " ")
	}
	lines, skipped := s.view.Frame(s.now(), width, height, s.skip, below)
	s.skip = skipped
	_, err = io.WriteString(s.out, home+strings.Join(lines, restOfLine+"\r\n")+restOfLine+restBelow)
	return err
}

// press does what the typed keys say, and returns whether to quit.
func (s *screen) press(typed string) (quit bool) {
	const page = 10
	for typed != "" {
		key := typed[:1]
		for _, long := range []string{keyUp, keyDown, keyPageUp, keyPageDown} {
			if strings.HasPrefix(typed, long) {
				key = long
			}
		}
		typed = typed[len(key):]
		switch key {
		case "q", "Q", "\x03":
			return true
		case "\x1b":
			if typed == "" {
				return true
			}
			typed = "" // a key that means nothing here
		case keyUp, "k":
			s.skip = max(s.skip-1, 0)
		case keyDown, "j":
			s.skip++
		case keyPageUp, "b":
			s.skip = max(s.skip-page, 0)
		case keyPageDown, " ":
			s.skip += page
		case "s":
			orders := nodes.Orders()
			s.sort = orders[(slices.Index(orders, strings.TrimPrefix(s.sort, "-"))+1)%len(orders)]
		}
	}
	return false
}

// terminalOf is the terminal that both ends are, nil if they are none.
func terminalOf(in io.Reader, out io.Writer) *os.File {
	for _, end := range []any{in, out} {
		file, ok := end.(*os.File)
		if !ok || !term.IsTerminal(int(file.Fd())) {
			return nil
		}
	}
	return in.(*os.File)
}

// raw has the terminal hand over keys as they are typed, until restore is called.
func raw(terminal *os.File) (restore func(), err error) {
	fd := int(terminal.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return func() { _ = term.Restore(fd, state) }, nil
}

// keysOf reads what is typed. Nothing but the next key or the end of the process ends a read
// of a terminal, so that the reader outlives the screen by one key at most.
func keysOf(terminal io.Reader) <-chan string {
	keys := make(chan string, 16)
	go func() {
		defer close(keys)
		buffer := make([]byte, 64)
		for {
			n, err := terminal.Read(buffer)
			if err != nil {
				return
			}
			select {
			case keys <- string(buffer[:n]):
			default: // nobody keeps up with so much
			}
		}
	}()
	return keys
}
