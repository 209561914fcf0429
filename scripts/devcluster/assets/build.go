package assets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// target is one call of go build. etcd has one of its own because go build
// would call its binary "server", after the package's path.
type target struct {
	output   string // below the build's directory; a trailing slash means a directory
	packages []string
}

func targets() []target {
	return []target{
		{output: "etcd", packages: []string{"go.etcd.io/etcd/server/v3"}},
		{output: "./", packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver",
			"k8s.io/kubernetes/cmd/kube-controller-manager",
		}},
	}
}

// Build returns the directory of the binaries like Find, and builds them first
// where they are missing: about 15 CPU-minutes, reported to progress. Calls of
// several processes wait for each other; a build that is interrupted leaves
// nothing that a later one would take for complete.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	dir, err := Find()
	if !errors.Is(err, ErrNotBuilt) {
		return dir, err
	}
	m, err := findModule()
	if err != nil {
		return "", err
	}
	if dir, err = m.cacheDir(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(dir) == nil { // another process has just built it
		return dir, nil
	}
	if err := m.buildInto(ctx, dir, progress); err != nil {
		return "", fmt.Errorf("build control plane %s: %w", m.kubernetes, err)
	}
	return dir, nil
}

// lock waits until this process is the only holder of the file at path.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil // closing ends the lock
}

// buildInto builds beside dir and moves the result there once it is complete.
func (m module) buildInto(ctx context.Context, dir string, progress io.Writer) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	total, err := m.countPackages(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "building etcd, kube-apiserver and kube-controller-manager %s, once, into %s\n", m.kubernetes, dir)
	meter := startMeter(progress, total)
	for _, t := range targets() {
		if err := m.build(ctx, tmp, t, meter); err != nil {
			meter.stop()
			return err
		}
	}
	meter.stop()
	if err := complete(tmp); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // an incomplete leftover would be in the way
		return err
	}
	return os.Rename(tmp, dir)
}

// build runs go build for one target. The version has to be stamped: without
// it the API server reports v0.0.0-master+$Format:%H$, which clients cannot parse.
func (m module) build(ctx context.Context, tmp string, t target, meter *meter) error {
	stamp := "-s -w -X k8s.io/component-base/version.gitVersion=" + m.kubernetes
	args := append([]string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", stamp,
		"-o", tmp + "/" + t.output}, t.packages...)
	cmd := m.goCommand(ctx, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	other := countCompiled(stderr, meter)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(t.packages, " "), err, other)
	}
	return nil
}

// countCompiled counts the package names that go build -v prints, one a line
// and never with a space, and returns the end of whatever else it prints.
func countCompiled(stderr io.Reader, meter *meter) string {
	var other []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			meter.downloaded.Add(1)
		case strings.HasPrefix(line, "#") || strings.ContainsAny(line, " \t"):
			other = append(other, line)
			other = other[max(0, len(other)-40):]
		default:
			meter.compiled.Add(1)
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // a line too long for the scanner must not block go build
	return strings.Join(other, "\n")
}

// countPackages returns how many packages the binaries consist of; those
// already in Go's build cache are not compiled again.
func (m module) countPackages(ctx context.Context) (int, error) {
	args := []string{"list", "-deps"}
	for _, t := range targets() {
		args = append(args, t.packages...)
	}
	var stderr strings.Builder
	cmd := m.goCommand(ctx, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	return strings.Count(string(out), "\n"), nil
}

func (m module) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments of ours only
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}
