package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// openTerminal returns both ends of a pseudo-terminal of 100 × 20: the user's and the command's.
func openTerminal(t *testing.T) (user, command *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { user.Close() })
	raw, err := user.SyscallConn() // Fd would make reads outlast Close
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var unlocked, numbered, sized error
	err = raw.Control(func(fd uintptr) {
		unlocked = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, numbered = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		sized = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 100})
	})
	if err := errors.Join(err, unlocked, numbered, sized); err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Close() })
	return user, command
}

// watchCluster runs `slipway nodes` on a terminal: it follows the cluster, and leaves the
// terminal as it was.
func watchCluster(t *testing.T, c client.Client, kubeconfig string) {
	t.Helper()
	user, command := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(command.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 1000)
	go func() {
		defer close(shown)
		buffer := make([]byte, 4096)
		for {
			n, err := user.Read(buffer)
			if err != nil {
				return // the command's end is closed
			}
			shown <- string(buffer[:n])
		}
	}()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"nodes", "--kubeconfig", kubeconfig}, command, command, os.Stderr)
	}()
	all := ""
	expect := func(text string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for !strings.Contains(all, text) {
			select {
			case more := <-shown:
				all += more
			case <-deadline:
				t.Fatalf("%q is not shown:\n%s", text, all)
			}
		}
	}
	expect(enterScreen)
	expect("1 node ")
	if err := c.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "another"}}); err != nil {
		t.Fatal(err)
	}
	expect("2 nodes ")
	expect("another")
	if _, err := user.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	expect(leaveScreen)
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	after, err := unix.IoctlGetTermios(int(command.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is left as %+v, was %+v: %v", after, before, err)
	}
	// The end of the terminal ends those who read it.
	if err := user.Close(); err != nil {
		t.Error(err)
	}
}
