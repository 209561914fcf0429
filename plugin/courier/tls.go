package courier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"k8s.io/klog/v2"
)

// Files names what the courier identifies itself with, and whom it trusts.
type Files struct {
	// Cert, Key and CA are files in PEM, read again when they change.
	Cert, Key, CA string
	// ServerName is the name in the launcher's certificate; empty means the host that is
	// connected to.
	ServerName string
}

// reloading is mutual TLS with files that may be replaced at any time. A connection is
// made with what the files hold then; while they are unreadable, for instance because
// the key is written and the certificate is not yet, with what they held before.
type reloading struct {
	files Files

	mu       sync.Mutex
	modified [3]time.Time
	current  credentials.TransportCredentials
}

var _ credentials.TransportCredentials = (*reloading)(nil)

func newReloading(files Files) (*reloading, error) {
	r := &reloading{files: files}
	if err := r.reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// reload reads the files if one of them has changed.
func (r *reloading) reload() error {
	var modified [3]time.Time
	for i, name := range []string{r.files.Cert, r.files.Key, r.files.CA} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
		modified[i] = info.ModTime()
	}
	if r.current != nil && modified == r.modified {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(r.files.Cert, r.files.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", r.files.Cert, r.files.Key, err)
	}
	pem, err := os.ReadFile(r.files.CA)
	if err != nil {
		return fmt.Errorf("authorities: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("authorities %s: no certificate found", r.files.CA)
	}
	r.current = credentials.NewTLS(&tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		RootCAs:      roots,
		ServerName:   r.files.ServerName,
	})
	r.modified = modified
	return nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (r *reloading) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	r.mu.Lock()
	if err := r.reload(); err != nil {
		klog.FromContext(ctx).Error(err, "The certificates were not read again; the former ones are used")
	}
	creds := r.current
	r.mu.Unlock()
	return creds.ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (r *reloading) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	_ = conn.Close()
	return nil, nil, fmt.Errorf("the courier's credentials are a client's")
}

// Info implements credentials.TransportCredentials.
func (r *reloading) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. The copy shares what was read.
func (r *reloading) Clone() credentials.TransportCredentials { return r }

// OverrideServerName implements credentials.TransportCredentials.
func (r *reloading) OverrideServerName(string) error {
	return fmt.Errorf("the server's name is set by configuration")
}
