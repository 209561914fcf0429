package demo

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// TestTailLog: only what is told, only what comes from now on, also in pieces.
func TestTailLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if _, err := log.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("\"planned\" pods=1\n")
	out := &buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	if err := tailLog(ctx, &wg, file, newTimeline(out)); err != nil {
		t.Fatal(err)
	}
	write("\"something else\"\n\"batch closed\" ")
	write("pods=2\n")
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(out.text(), "pods=2") {
		if time.Now().After(deadline) {
			t.Fatalf("got %q", out.text())
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	if got, want := out.text(), "            batch closed pods=2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// TestJudge: a round only counts when everything really happened.
func TestJudge(t *testing.T) {
	good := RoundReport{Pods: 10, Bound: 10, BoundOnReserved: 10, Nodes: 5, InstancesLaunched: 5, ReapedAfterSeconds: 31}
	for _, tt := range []struct {
		name   string
		change func(*RoundReport)
		want   string
	}{
		{"good", func(*RoundReport) {}, ""},
		{"a pod is not bound", func(r *RoundReport) { r.Bound = 9 }, "9 of 10 pods were bound"},
		{"a pod is bound elsewhere", func(r *RoundReport) { r.BoundOnReserved = 9 }, "node reserved for them"},
		{"an instance too many", func(r *RoundReport) { r.InstancesLaunched = 6 }, "6 instances were launched"},
		{"an instance is left", func(r *RoundReport) { r.InstancesLeft = 1 }, "1 instances are left"},
		{"gone too early", func(r *RoundReport) { r.ReapedAfterSeconds = 3 }, "before their 30s were over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			err := r.judge(10)
			if tt.want == "" {
				if err != nil || !r.OK {
					t.Errorf("%v, ok %v", err, r.OK)
				}
				return
			}
			if err == nil || r.OK || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, ok %v, want %q", err, r.OK, tt.want)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	line := `I1122 16:22:25.466963   18338 batch.go:163] "batch closed" logger="allocate" pods=2 because="all have come" after="102ms"`
	if got, want := plain(line), "batch closed pods=2 because=all have come after=102ms"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimeline(t *testing.T) {
	var out bytes.Buffer
	tl := newTimeline(&out)
	tl.say("before")
	start := time.Now()
	tl.start(start)
	tl.sayAt(start.Add(1234*time.Millisecond), "%d pods", 3)
	if got, want := out.String(), "            before\n   +1.234s  3 pods\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
