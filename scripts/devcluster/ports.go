package devcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

var (
	// ErrNoPort says that no free port was found.
	ErrNoPort = errors.New("no free port")
	// ErrPortTaken says that a program found its port in use.
	ErrPortTaken = errors.New("port taken")
)

// The ports lie below those the kernel hands out for outgoing connections (from 32768
// on Linux, unless set otherwise). Each is handed out once until all were, so that what
// starts side by side in this process never meets.
const (
	firstPort  = 20000
	portsCount = 12000
)

var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(portsCount)) //nolint:gosec // spreads ports, guards nothing
	return &n
}()

// OnFreePorts calls start with n different addresses of 127.0.0.1 that nothing listened
// on a moment ago. Another process may take one before start's program does: where the
// error wraps ErrPortTaken, start is called again with others, three times in all.
func OnFreePorts(n int, start func(addresses []string) error) error {
	const tries = 3
	var err error
	for range tries {
		addresses := make([]string, n)
		for i := range addresses {
			if addresses[i], err = freeAddress(); err != nil {
				return err
			}
		}
		if err = start(addresses); !errors.Is(err, ErrPortTaken) {
			return err
		}
	}
	return err
}

func freeAddress() (string, error) {
	const tries = 100
	for range tries {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+int(nextPort.Add(1)%portsCount)))
		if listener, err := net.Listen("tcp", at); err == nil {
			return at, listener.Close()
		}
	}
	return "", fmt.Errorf("%w in %d tries from %d to %d", ErrNoPort, tries, firstPort, firstPort+portsCount-1)
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // an address of OnFreePorts
	return port
}
