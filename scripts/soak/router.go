package soak

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// router stands where the Service stands in a cluster: it leads the schedulers to the
// launcher that serves.
type router struct {
	listener net.Listener
	ctx      context.Context //nolint:containedctx // the router's life
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	creds   credentials.TransportCredentials
	targets []string
}

const probeTimeout = time.Second

func newRouter() (*router, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by Close
	if err != nil {
		return nil, err
	}
	r := &router{listener: listener}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.wg.Go(r.accept)
	return r, nil
}

// Address is where schedulers are to look for the launcher.
func (r *router) Address() string { return r.listener.Addr().String() }

// Close ends all connections.
func (r *router) Close() error {
	r.stop()
	err := r.listener.Close()
	r.wg.Wait()
	return err
}

func (r *router) add(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.targets, address) {
		r.targets = append(r.targets, address)
	}
}

// trust gives what it takes to ask a launcher whether it serves.
func (r *router) trust(certs *devcluster.Certs) error {
	pair, err := tls.LoadX509KeyPair(certs.Client.Cert, certs.Client.Key)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(certs.CAFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return errors.New(certs.CAFile + ": no certificate")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.creds = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13})
	return nil
}

func (r *router) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.lead(conn) })
	}
}

// lead passes a connection on; without a launcher that serves it is closed.
func (r *router) lead(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is done with
	r.mu.Lock()
	targets, creds := slices.Clone(r.targets), r.creds
	r.mu.Unlock()
	for _, target := range targets {
		if !serves(r.ctx, target, creds) {
			continue
		}
		server, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(r.ctx, "tcp", target)
		if err != nil {
			continue
		}
		r.pass(client, server)
		return
	}
}

func (r *router) pass(a, b net.Conn) {
	cut := func() {
		a.Close() //nolint:errcheck // the other end sees it
		b.Close() //nolint:errcheck // the other end sees it
	}
	defer context.AfterFunc(r.ctx, cut)()
	var wg sync.WaitGroup
	for _, ends := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			defer cut()
			_, _ = io.Copy(ends[0], ends[1]) // however it ends, both are closed
		})
	}
	wg.Wait()
}

// serves asks a launcher's health service.
func serves(ctx context.Context, address string, creds credentials.TransportCredentials) bool {
	if creds == nil {
		return false
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: "slipway.v1.LauncherService"})
	return err == nil && answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
}
