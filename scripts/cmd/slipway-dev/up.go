package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/scripts/stack"
)

const (
	upDir     = "dev"
	pidFile   = "pid"
	readyFile = "ready" // holds the kubeconfig's path once all runs
	upWithin  = 3 * time.Minute
	endWithin = time.Minute
)

// up starts `serve` in a session of its own and waits until it is ready.
func (o *options) up(cmd *cobra.Command, _ []string) error {
	if pid, ok := o.running(); ok {
		return fmt.Errorf("a dev cluster is running already (process %d); `make down` stops it", pid)
	}
	dir, err := o.dir(upDir)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "slipway-dev.log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // handed to the child
	self, err := os.Executable()
	if err != nil {
		return err
	}
	serve := exec.Command(self, "serve", "--bin", o.bin, "--repo", o.repo, "--boot-delay", o.bootDelay.String()) //nolint:gosec,noctx // it outlives this process
	serve.Stdout, serve.Stderr = log, log
	serve.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := serve.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	fmt.Println("starting the dev cluster …")
	deadline := time.Now().Add(upWithin)
	for time.Now().Before(deadline) {
		if raw, err := os.ReadFile(filepath.Join(dir, readyFile)); err == nil {
			o.greet(strings.TrimSpace(string(raw)))
			return nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the dev cluster did not start: %w\n%s\nlogs are in %s", err, said, dir)
		case <-cmd.Context().Done():
			return errors.Join(cmd.Context().Err(), serve.Process.Signal(syscall.SIGTERM))
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.Join(fmt.Errorf("the dev cluster was not ready within %s; logs are in %s", upWithin, dir), serve.Process.Signal(syscall.SIGTERM))
}

func (o *options) greet(kubeconfig string) {
	fmt.Printf(`The dev cluster runs, with no node in it. Its kubeconfig:

  export KUBECONFIG=%s

Try:
  kubectl apply -f manifests/examples/nodepool-general.yaml -f manifests/examples/deployment.yaml
  kubectl get nodepools,nodeclaims -o wide
  kubectl get pods -o wide --watch

`+"`make down`"+` stops it. Logs are in %s.
`, kubeconfig, filepath.Join(o.bin, upDir, "logs"))
}

// serve runs the cluster until it is told to stop.
func (o *options) serve(cmd *cobra.Command, _ []string) (err error) {
	dir, err := filepath.Abs(filepath.Join(o.bin, upDir))
	if err != nil {
		return err
	}
	pid := filepath.Join(dir, pidFile)
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	defer os.Remove(pid) //nolint:errcheck // a stale file is recognised
	s, err := o.start(cmd.Context(), dir, func(what string) { fmt.Println(what) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := os.WriteFile(filepath.Join(dir, readyFile), []byte(s.Kubeconfig), 0o600); err != nil {
		return err
	}
	return waitFor(cmd, s)
}

// waitFor returns when the process is told to stop, or a daemon ends by itself.
func waitFor(cmd *cobra.Command, s *stack.Stack) error {
	select {
	case <-cmd.Context().Done():
		return nil
	case <-s.Launcher.Done():
		return fmt.Errorf("slipway-launcher ended: %w; see %s", s.Launcher.Err(), s.Launcher.LogFile())
	case <-s.Scheduler.Done():
		return fmt.Errorf("slipway-scheduler ended: %w; see %s", s.Scheduler.Err(), s.Scheduler.LogFile())
	}
}

// down ends the serving process and waits until it has gone.
func (o *options) down(*cobra.Command, []string) error {
	pid, ok := o.running()
	if !ok {
		fmt.Println("no dev cluster is running")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for deadline := time.Now().Add(endWithin); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if !alive(pid) {
			fmt.Println("the dev cluster is stopped")
			return nil
		}
	}
	return fmt.Errorf("process %d did not stop within %s", pid, endWithin)
}

// running returns the serving process, if it lives.
func (o *options) running() (pid int, ok bool) {
	raw, err := os.ReadFile(filepath.Join(o.bin, upDir, pidFile))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	return pid, err == nil && alive(pid)
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
