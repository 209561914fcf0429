package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// parentDir, in the environment, makes the test binary the parent of TestProcessDiesWithParent.
const parentDir = "DEVCLUSTER_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		beParent(dir)
	}
	goleak.VerifyTestMain(m)
}

func shell(t *testing.T, script string) ProcessConfig {
	t.Helper()
	return ProcessConfig{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, LogDir: t.TempDir()}
}

func TestStartProcessFails(t *testing.T) {
	refuse := func(context.Context) error { return errors.New("nobody listens") }
	tests := []struct {
		name   string
		script string
		ready  func(context.Context) error
		want   error
		says   []string
	}{
		{
			name: "exits before it is ready", script: "echo no such flag >&2; exit 3", ready: refuse,
			want: ErrExited, says: []string{"exit status 3", "no such flag", "shell.log"},
		},
		{
			name: "port in use", script: "echo listen tcp 127.0.0.1:1: bind: address already in use; exit 1", ready: refuse,
			want: ErrPortTaken, says: []string{"exit status 1", "address already in use"},
		},
		{
			name: "never ready", script: "echo waiting; exec sleep 60", ready: refuse,
			want: ErrNotReady, says: []string{"nobody listens", "shell.log"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := shell(t, tt.script)
			config.Ready = tt.ready
			config.StartTimeout = time.Second
			_, err := StartProcess(t.Context(), config)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
		})
	}
}

func TestStartProcessOfMissingProgram(t *testing.T) {
	_, err := StartProcess(t.Context(), ProcessConfig{Name: "ghost", Path: "/nonexistent", LogDir: t.TempDir()})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "ghost") {
		t.Errorf("error = %v, want one that names ghost and wraps %v", err, os.ErrNotExist)
	}
}

func TestProcessStop(t *testing.T) {
	tests := []struct {
		name   string
		script string
		want   error
	}{
		{name: "on SIGTERM", script: `trap "exit 0" TERM; echo up; while :; do sleep 0.01; done`},
		{name: "already over", script: "echo up"},
		{name: "ignores SIGTERM", script: `trap "" TERM; echo up; while :; do sleep 0.01; done`, want: ErrKilled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := shell(t, tt.script)
			config.StopTimeout = 500 * time.Millisecond
			p, err := StartProcess(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			waitForLog(t, p, "up")
			if err := p.Stop(); !errors.Is(err, tt.want) {
				t.Errorf("Stop() = %v, want %v", err, tt.want)
			}
			if syscall.Kill(p.PID(), 0) == nil {
				t.Errorf("process %d is still there", p.PID())
			}
		})
	}
}

func TestProcessRestartAppendsToLog(t *testing.T) {
	config := shell(t, `echo "start $WHO"; exec sleep 60`)
	config.Env = []string{"WHO=me"}
	p, err := StartProcess(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	waitForLog(t, p, "start me\n")
	p.Kill()
	if p.Err() == nil {
		t.Error("Err() = nil after Kill")
	}
	p, err = p.Restart(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	waitForLog(t, p, "start me\nstart me\n")
}

func TestHTTPReady(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		says   string
	}{
		{name: "ready", status: http.StatusOK},
		{name: "not ready", status: http.StatusInternalServerError, body: "etcd failed", says: "etcd failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are meant to happen
			server.StartTLS()
			defer server.Close()
			err := HTTPReady(server.URL, nil)(t.Context())
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %v, want one that says %q", err, tt.says)
			}
			other, caErr := NewCA("other")
			if caErr != nil {
				t.Fatal(caErr)
			}
			if err := HTTPReady(server.URL, other.PEM())(t.Context()); err == nil {
				t.Error("a certificate of another authority was accepted")
			}
		})
	}
}

// TestProcessDiesWithParent kills a process that has started another one.
func TestProcessDiesWithParent(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentDir+"="+t.TempDir())
	var out bytes.Buffer
	parent.Stdout = &out
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err == nil {
		t.Fatal("the parent was meant to die of a signal")
	}
	child, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatalf("parent printed %q: %v", out.String(), err)
	}
	waitFor(t, "the child's end", func() bool { return gone(child) })
}

// beParent starts a process, prints its id and dies at once.
func beParent(dir string) {
	config := ProcessConfig{Name: "child", Path: "/bin/sleep", Args: []string{"60"}, LogDir: dir}
	p, err := StartProcess(context.Background(), config)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// gone tells whether a process is over; a zombie that nobody has reaped counts.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func waitForLog(t *testing.T, p *Process, want string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%q in %s", want, p.LogFile()), func() bool {
		content, err := os.ReadFile(p.LogFile())
		return err == nil && strings.Contains(string(content), want)
	})
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
