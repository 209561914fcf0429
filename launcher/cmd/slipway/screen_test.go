package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

// played is a screen of 100 × 8 in front of a cluster that has a node more with every look.
type played struct {
	*screen
	out  bytes.Buffer
	keys chan string
	tick chan time.Time
	done chan error
	fail error // of the looks
}

func play(t *testing.T) *played {
	t.Helper()
	p := &played{keys: make(chan string), tick: make(chan time.Time), done: make(chan error, 1)}
	var cluster []corev1.Node
	p.screen = &screen{
		out: &p.out, keys: p.keys, tick: p.tick, now: time.Now, sort: "name",
		size:    func() (int, int, error) { return 100, 8, nil },
		trouble: func() error { return nil },
		look: func(context.Context) (*nodes.View, error) {
			cluster = append(cluster, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%02d", len(cluster))}})
			return nodes.New(cluster, nil, nil, time.Now()), p.fail
		},
	}
	go func() { p.done <- p.run(t.Context()) }()
	synctest.Wait()
	return p
}

// frame is what was drawn since the last call, without control sequences.
func (p *played) frame() string {
	synctest.Wait()
	text := p.out.String()
	p.out.Reset()
	for _, sequence := range []string{enterScreen, leaveScreen, home, restOfLine, restBelow} {
		text = strings.ReplaceAll(text, sequence, "")
	}
	return text
}

func TestScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := play(t)
		if got := p.frame(); !strings.Contains(got, "1 node ") || !strings.Contains(got, "node-00") || !strings.HasSuffix(got, "q quit  ↑↓ scroll  s order: name") {
			t.Fatalf("first frame:\n%s", got)
		}
		for range 9 {
			p.tick <- time.Now()
		}
		if got := p.frame(); !strings.Contains(got, "3 of 10 shown") || !strings.Contains(got, "node-02") || strings.Contains(got, "node-04") {
			t.Errorf("10 nodes on 8 lines:\n%s", got)
		}
		for _, step := range []struct{ keys, shows, hides string }{
			{keyDown, "node-03", "node-00"}, {"jj", "node-05", "node-02"}, {keyUp, "node-02", "node-05"}, {keyPageDown + keyPageDown, "node-09", "node-06"},
			{"kk", "node-05", "node-08"}, {"\x1b[C", "node-05", "node-08"}, {"b", "node-00", "node-03"}, {" ", "node-09", "node-06"}, {keyPageUp, "node-00", "node-03"},
			{"s", "order: type", "order: name"},
		} {
			p.frame()
			p.keys <- step.keys
			if got := p.frame(); !strings.Contains(got, step.shows) || strings.Contains(got, step.hides) {
				t.Errorf("after %q, want %s and not %s:\n%s", step.keys, step.shows, step.hides, got)
			}
		}
		p.trouble = func() error { return errors.New("connection\nrefused") }
		p.tick <- time.Now()
		if got := p.frame(); !strings.Contains(got, "OUT OF DATE: connection refused") {
			t.Errorf("trouble is not shown:\n%s", got)
		}
		p.keys <- "q"
		if err := <-p.done; err != nil {
			t.Error(err)
		}
	})
}

// TestScreenEnds: whatever ends it, the terminal is left as it was found.
func TestScreenEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*played)
		want error
	}{
		{"q", func(p *played) { p.keys <- "q" }, nil},
		{"ctrl-c", func(p *played) { p.keys <- "\x03" }, nil},
		{"escape", func(p *played) { p.keys <- "\x1b" }, nil},
		{"no more keys", func(p *played) { close(p.keys) }, nil},
		{"failure", func(p *played) { p.fail = io.ErrUnexpectedEOF; p.tick <- time.Now() }, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := play(t)
				tt.end(p)
				if err := <-p.done; !errors.Is(err, tt.want) {
					t.Errorf("it ended with %v, want %v", err, tt.want)
				}
				if out := p.out.String(); !strings.HasPrefix(out, enterScreen) || !strings.HasSuffix(out, leaveScreen) {
					t.Errorf("output %q", out)
				}
			})
		})
	}
}

func TestKeys(t *testing.T) {
	keys := keysOf(strings.NewReader("jq"))
	if typed := <-keys; typed != "jq" {
		t.Errorf("typed %q", typed)
	}
	if _, open := <-keys; open {
		t.Error("there are keys after the end")
	}
}
