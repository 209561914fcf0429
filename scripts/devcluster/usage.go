package devcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used of the machine, by /proc.
type Usage struct {
	CPU          time.Duration // user and system, since it started
	Memory, Peak int64         // resident set now, and at most since ForgetPeak; bytes
}

// ticksPerSecond is USER_HZ, which /proc counts in on every architecture of Linux that we run on.
const ticksPerSecond = 100

var errProc = errors.New("unexpected content of /proc")

// UsageOf reads the usage of a process.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return Usage{}, err
	}
	// The second field is the program's name in parentheses, which may hold anything.
	name := strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat[name+1:]))
	const utime, stime = 14 - 3, 15 - 3 // proc_pid_stat(5) counts from 1, and the name is gone
	if len(fields) <= stime {
		return Usage{}, fmt.Errorf("process %d: stat: %w", pid, errProc)
	}
	var u Usage
	for _, f := range []string{fields[utime], fields[stime]} {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("process %d: stat: %w: %w", pid, errProc, err)
		}
		u.CPU += time.Duration(ticks) * (time.Second / ticksPerSecond)
	}
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return Usage{}, err
	}
	for _, m := range []struct {
		key   string
		bytes *int64
	}{{"VmRSS:", &u.Memory}, {"VmHWM:", &u.Peak}} {
		if *m.bytes, err = kilobytes(string(status), m.key); err != nil {
			return Usage{}, fmt.Errorf("process %d: status: %w", pid, err)
		}
	}
	return u, nil
}

// kilobytes finds a line such as "VmRSS:	 1234 kB" and returns bytes.
func kilobytes(status, key string) (int64, error) {
	for line := range strings.SplitSeq(status, "\n") {
		value, ok := strings.CutPrefix(line, key)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s %w: %w", key, errProc, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("%s %w: not there", key, errProc)
}

// ForgetPeak has a process's Peak begin anew from its memory of now.
func ForgetPeak(pid int) error {
	const resetPeak = "5" // proc_pid_clear_refs(5)
	return os.WriteFile(procFile(pid, "clear_refs"), []byte(resetPeak), 0)
}

func procFile(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
