package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNotReady says that a process did not turn ready in time.
	ErrNotReady = errors.New("not ready")
	// ErrExited says that a process ended before it was ready.
	ErrExited = errors.New("exited early")
	// ErrKilled says that a process had to be killed: it did not end in time when asked to.
	ErrKilled = errors.New("killed, did not stop when asked to")
)

// ProcessConfig says how to run a program.
type ProcessConfig struct {
	// Name is used in errors and names the log file.
	Name string
	// Path is the program, Args are its arguments without the program's name.
	Path string
	Args []string
	// Env is added to this process's environment.
	Env []string
	// LogDir is where standard output and standard error go, appended to
	// Name.log. It is created where it is missing.
	LogDir string
	// Ready tells whether the program is ready; it is called until it returns
	// nil. Without it a program counts as ready once it runs.
	Ready func(ctx context.Context) error
	// StartTimeout is how long the program may take until it is ready (default one minute).
	StartTimeout time.Duration
	// StopTimeout is how long it may take to end after SIGTERM (default 20 seconds).
	StopTimeout time.Duration
}

const (
	defaultStartTimeout = time.Minute
	defaultStopTimeout  = 20 * time.Second
	readyInterval       = 50 * time.Millisecond
	probeTimeout        = 2 * time.Second
)

// Process is a running program. It is killed when this process ends, however
// that happens (on Linux). Its methods may be called concurrently.
type Process struct {
	config  ProcessConfig
	command *exec.Cmd
	done    chan struct{}
	err     error // how the program ended; readable once done is closed
}

// StartProcess starts a program and waits until it is ready. ctx bounds the
// start alone: the program runs until Stop or Kill is called. An error names the log
// file and wraps ErrNotReady or ErrExited, and ErrPortTaken if the log ends with that;
// the program is gone then.
func StartProcess(ctx context.Context, config ProcessConfig) (*Process, error) {
	if config.StartTimeout == 0 {
		config.StartTimeout = defaultStartTimeout
	}
	if config.StopTimeout == 0 {
		config.StopTimeout = defaultStopTimeout
	}
	p := &Process{config: config, done: make(chan struct{})}
	if err := p.spawn(); err != nil {
		return nil, fmt.Errorf("%s: start: %w", config.Name, err)
	}
	if err := p.waitReady(ctx); err != nil {
		p.Kill()
		log := describeLog(p.LogFile())
		if strings.Contains(log, syscall.EADDRINUSE.Error()) {
			err = fmt.Errorf("%w: %w", ErrPortTaken, err)
		}
		return nil, fmt.Errorf("%s: %w%s", config.Name, err, log)
	}
	return p, nil
}

// spawn runs the program with its output going straight to the log file.
func (p *Process) spawn() error {
	if err := os.MkdirAll(p.config.LogDir, 0o750); err != nil {
		return err
	}
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                                         // the program has its own descriptor
	p.command = exec.Command(p.config.Path, p.config.Args...) //nolint:gosec // runs what the caller names
	p.command.Env = append(os.Environ(), p.config.Env...)
	p.command.Stdout, p.command.Stderr = log, log
	p.command.SysProcAttr = processAttributes()

	started := make(chan error)
	go p.run(started)
	return <-started
}

// run keeps the thread that starts the program until the program has ended:
// the kernel sends the parent-death signal when that thread ends, not when the
// process does (prctl(2), PR_SET_PDEATHSIG).
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.command.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.command.Wait()
}

func (p *Process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.StartTimeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	begin := time.Now()
	for {
		err := p.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %w", ErrExited, exitReason(p.err))
		case <-ctx.Done():
			return fmt.Errorf("%w after %s: %w: %w", ErrNotReady,
				time.Since(begin).Round(time.Millisecond), context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// probe asks Ready. A program that has ended is not ready even if another one
// answers at its address.
func (p *Process) probe(ctx context.Context) error {
	if p.config.Ready == nil {
		return nil
	}
	select {
	case <-p.done:
		return ErrExited
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.config.Ready(ctx)
}

func exitReason(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// Stop asks the program to end (SIGTERM) and waits until it has. Past
// StopTimeout it is killed and the error wraps ErrKilled. Stopping a program
// that has already ended is no error.
func (p *Process) Stop() error {
	p.Signal(syscall.SIGTERM)
	timeout := time.NewTimer(p.config.StopTimeout)
	defer timeout.Stop()
	select {
	case <-p.done:
		return nil
	case <-timeout.C:
		p.Kill()
		return fmt.Errorf("%s: %w within %s%s", p.config.Name, ErrKilled, p.config.StopTimeout, describeLog(p.LogFile()))
	}
}

// Kill ends the program without asking (SIGKILL), as a crash would, and waits
// until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Signal sends a signal, such as SIGSTOP for a program that hangs. A program
// that has already ended ignores it.
func (p *Process) Signal(signal os.Signal) {
	_ = p.command.Process.Signal(signal) // fails only where the program has ended
}

// Restart stops the program where it still runs and starts it again with the
// same configuration.
func (p *Process) Restart(ctx context.Context) (*Process, error) {
	if err := p.Stop(); err != nil {
		return nil, err
	}
	return StartProcess(ctx, p.config)
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the program ended, nil while it runs and after exit status 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// LogFile returns the file that the program's output goes to.
func (p *Process) LogFile() string {
	return filepath.Join(p.config.LogDir, p.config.Name+".log")
}
