package soak

import (
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// TestRouterWithoutLauncher: while no launcher serves, connections are closed, so that
// schedulers try again; the router leaves nothing behind.
func TestRouterWithoutLauncher(t *testing.T) {
	defer goleak.VerifyNone(t)
	certs, err := devcluster.WriteCerts(t.TempDir(), "slipway-scheduler", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRouter()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.trust(certs); err != nil {
		t.Fatal(err)
	}
	r.add("127.0.0.1:1")
	conn, err := net.Dial("tcp", r.Address()) //nolint:noctx // bounded by the router
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as net has it
		t.Errorf("error %v, want io.EOF", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
