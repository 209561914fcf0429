package devcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// ErrNoPort says that no free port was found.
var ErrNoPort = errors.New("no free port")

// The ports lie below those the kernel hands out for outgoing connections
// (from 32768 on Linux), so that none is taken between here and its server's start.
const (
	firstPort = 20000
	lastPort  = 31999
)

// FreePort returns a port of 127.0.0.1 that nothing listens on.
func FreePort() (int, error) {
	const tries = 100
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // spreads ports, guards nothing
		listener, err := net.Listen("tcp", address(port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("%w between %d and %d in %d tries", ErrNoPort, firstPort, lastPort, tries)
}

// freePorts returns n different free ports.
func freePorts(n int) ([]int, error) {
	var ports []int
	seen := make(map[int]bool)
	for len(ports) < n {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		if !seen[port] {
			seen[port] = true
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// address returns host:port for a port of 127.0.0.1.
func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
