package devcluster

import (
	"os"
	"testing"
	"time"
)

// TestUsage: a process that works uses CPU time and memory, and its peak can be forgotten.
func TestUsage(t *testing.T) {
	pid := os.Getpid()
	before, err := UsageOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	held := make([]byte, size)
	for i := range held {
		held[i] = byte(i)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		after, err := UsageOf(pid)
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU > before.CPU {
			if after.Memory < before.Memory+size/2 || after.Peak < after.Memory/2 {
				t.Errorf("before %+v, holding %d bytes more %+v", before, len(held), after)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no CPU time was used")
		}
	}
	if err := ForgetPeak(pid); err != nil {
		t.Fatal(err)
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("a process that cannot exist has a usage")
	}
}

func TestKilobytes(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t      12 kB\n"
	if n, err := kilobytes(status, "VmRSS:"); n != 12<<10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, wrong := range []string{"", "VmRSS:\tx kB\n"} {
		if _, err := kilobytes(wrong, "VmRSS:"); err == nil {
			t.Errorf("%q was understood", wrong)
		}
	}
}
