package launcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// TLSFiles names the files of a mutual TLS identity, in PEM. They are read again when they change.
type TLSFiles struct {
	CertFile, KeyFile string
	// ClientCAFile signs the clients' certificates.
	ClientCAFile string
}

// Server serves LauncherService and the health service over mutual TLS.
type Server struct {
	listener net.Listener
	certs    *certwatcher.CertWatcher
	files    TLSFiles
	reserver Reserver
}

// stopGrace is how long running calls may take to end when the server stops.
const stopGrace = 5 * time.Second

// NewServer listens on address and reads the certificates.
func NewServer(address string, files TLSFiles, r Reserver) (*Server, error) {
	if _, err := readCA(files.ClientCAFile); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	certs, err := certwatcher.New(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server certificate: %w", err), listener.Close())
	}
	return &Server{listener: listener, certs: certs, files: files, reserver: r}, nil
}

// NeedLeaderElection is false: standbys answer health checks, with NOT_SERVING.
func (s *Server) NeedLeaderElection() bool { return false }

// Address is where the server listens.
func (s *Server) Address() net.Addr { return s.listener.Addr() }

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	log := logf.FromContext(ctx).WithName("grpc")
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.tls())),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxConcurrentStreams(100),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	slipwayv1.RegisterLauncherServiceServer(server, NewService(s.reserver))
	healthServer := health.NewServer()
	healthServer.SetServingStatus(slipwayv1.LauncherService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(server, healthServer)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	go func() { ended <- s.certs.Start(ctx) }()
	go func() { ended <- server.Serve(s.listener) }()
	log.Info("serving", "address", s.listener.Addr().String())

	var failure error
	running := s.reserver.Running()
	for waiting := true; waiting; {
		select {
		case <-running:
			running = nil
			healthServer.SetServingStatus(slipwayv1.LauncherService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
			log.Info("reservations are served")
		case <-ctx.Done():
			waiting = false
		case failure = <-ended:
			ended <- nil
			waiting = false
		}
	}
	cancel()
	healthServer.Shutdown()
	stop(server)
	<-ended
	<-ended
	if errors.Is(failure, grpc.ErrServerStopped) {
		failure = nil
	}
	return failure
}

// stop ends calls gracefully, but not forever: watch streams only end with their clients.
func stop(server *grpc.Server) {
	timer := time.AfterFunc(stopGrace, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}

// tls requires a client certificate signed by the client CA, read anew at every handshake.
func (s *Server) tls() *tls.Config {
	base := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.certs.GetCertificate,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		NextProtos:     []string{"h2"},
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool, err := readCA(s.files.ClientCAFile)
		if err != nil {
			return nil, err
		}
		c := base.Clone()
		c.ClientCAs = pool
		return c, nil
	}
	return config
}

func readCA(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client CA: %s holds no certificate", file)
	}
	return pool, nil
}
