package devcluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certLifetime is longer than any test or demonstration.
const certLifetime = 7 * 24 * time.Hour

// CA is a certificate authority whose key never leaves this process.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a certificate authority of that common name.
func NewCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: name}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	return &CA{certificate: certificate, key: key}, nil
}

// PEM returns the authority's own certificate.
func (ca *CA) PEM() []byte {
	pem, _ := cert.EncodeCertificates(ca.certificate) // fails only where writing to memory does
	return pem
}

// KeyPair is a certificate with its private key, both PEM.
type KeyPair struct {
	Cert []byte
	Key  []byte
}

// Server issues a certificate for a server reached under the given host names
// and IP addresses.
func (ca *CA) Server(name string, hosts ...string) (KeyPair, error) {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return ca.issue(template)
}

// Client issues a certificate for a client. The API server takes name as the
// user's name and groups as its groups.
func (ca *CA) Client(name string, groups ...string) (KeyPair, error) {
	return ca.issue(x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (ca *CA) issue(template x509.Certificate) (KeyPair, error) {
	pair, err := ca.sign(template)
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	return pair, nil
}

func (ca *CA) sign(template x509.Certificate) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return KeyPair{}, err
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(certLifetime)
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return KeyPair{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return KeyPair{}, err
	}
	return encode(certificate, key)
}

func encode(certificate *x509.Certificate, key *ecdsa.PrivateKey) (KeyPair, error) {
	certPEM, err := cert.EncodeCertificates(certificate)
	if err != nil {
		return KeyPair{}, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{Cert: certPEM, Key: keyPEM}, nil
}

// KeyPairFiles are the paths of a certificate and its private key.
type KeyPairFiles struct {
	Cert string
	Key  string
}

// Write writes the pair to dir/name.crt and dir/name.key. Each file is
// replaced at once, so that a server that reloads it never reads half of it.
func (p KeyPair) Write(dir, name string) (KeyPairFiles, error) {
	files := KeyPairFiles{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	if err := writeFile(files.Cert, p.Cert); err != nil {
		return KeyPairFiles{}, err
	}
	return files, writeFile(files.Key, p.Key)
}

// writeFile replaces a file that only its owner may read.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Certs are the files that two daemons need for mutual TLS.
type Certs struct {
	// CA issued both certificates; CAFile is its own certificate.
	CA     *CA
	CAFile string
	Server KeyPairFiles
	Client KeyPairFiles
}

// WriteCerts makes a certificate authority and writes ca.crt, server.{crt,key}
// for the given hosts and client.{crt,key} for the named client into dir.
func WriteCerts(dir, client string, hosts ...string) (*Certs, error) {
	ca, err := NewCA("slipway")
	if err != nil {
		return nil, err
	}
	certs := &Certs{CA: ca, CAFile: filepath.Join(dir, "ca.crt")}
	if err := writeFile(certs.CAFile, ca.PEM()); err != nil {
		return nil, err
	}
	server, err := ca.Server("server", hosts...)
	if err != nil {
		return nil, err
	}
	if certs.Server, err = server.Write(dir, "server"); err != nil {
		return nil, err
	}
	pair, err := ca.Client(client)
	if err != nil {
		return nil, err
	}
	certs.Client, err = pair.Write(dir, "client")
	return certs, err
}
