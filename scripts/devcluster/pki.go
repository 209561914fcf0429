package devcluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"

	"k8s.io/client-go/util/keyutil"
)

// pki is the control plane's certificates. Servers and clients have an
// authority each, as no server's certificate may pass for a client's.
type pki struct {
	servers     *CA
	clients     *CA
	serversFile string
	clientsFile string
	server      KeyPairFiles // of kube-apiserver and kube-controller-manager
	// The key pair that service account tokens are signed and checked with.
	accountKey    string
	accountPublic string
}

func newPKI(dir string) (*pki, error) {
	p := &pki{
		serversFile:   filepath.Join(dir, "server-ca.crt"),
		clientsFile:   filepath.Join(dir, "client-ca.crt"),
		accountKey:    filepath.Join(dir, "service-account.key"),
		accountPublic: filepath.Join(dir, "service-account.pub"),
	}
	var err error
	if p.servers, err = NewCA("devcluster-servers"); err != nil {
		return nil, err
	}
	if p.clients, err = NewCA("devcluster-clients"); err != nil {
		return nil, err
	}
	if err := writeFile(p.serversFile, p.servers.PEM()); err != nil {
		return nil, err
	}
	if err := writeFile(p.clientsFile, p.clients.PEM()); err != nil {
		return nil, err
	}
	server, err := p.servers.Server("devcluster", "127.0.0.1", "localhost", "kubernetes.default.svc")
	if err != nil {
		return nil, err
	}
	if p.server, err = server.Write(dir, "server"); err != nil {
		return nil, err
	}
	return p, p.writeAccountKeys()
}

func (p *pki) writeAccountKeys() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{
		Type: keyutil.RSAPrivateKeyBlockType, Bytes: x509.MarshalPKCS1PrivateKey(key),
	})
	if err := writeFile(p.accountKey, private); err != nil {
		return err
	}
	return writeFile(p.accountPublic, pem.EncodeToMemory(&pem.Block{Type: keyutil.PublicKeyBlockType, Bytes: public}))
}
