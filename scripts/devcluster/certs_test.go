package devcluster

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

func TestWriteCertsAllowMutualTLS(t *testing.T) {
	certs, err := WriteCerts(t.TempDir(), "slipway-scheduler", "127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := WriteCerts(t.TempDir(), "stranger", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := newMutualTLSServer(t, certs)

	tests := []struct {
		name   string
		client []tls.Certificate
		want   string
	}{
		{name: "its own client", client: []tls.Certificate{load(t, certs.Client)}, want: "slipway-scheduler"},
		{name: "client of another authority", client: []tls.Certificate{load(t, strangers.Client)}},
		{name: "server certificate as client", client: []tls.Certificate{load(t, certs.Server)}},
		{name: "no certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				TLSClientConfig:   &tls.Config{RootCAs: pool(t, certs), Certificates: tt.client},
			}}
			got, err := get(t, client, server.URL)
			if (err == nil) != (tt.want != "") || got != tt.want {
				t.Errorf("got %q, error %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestWriteCertsKeepsKeysPrivate(t *testing.T) {
	certs, err := WriteCerts(t.TempDir(), "client", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{certs.Server.Key, certs.Client.Key} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

// newMutualTLSServer answers with the name in its client's certificate.
func newMutualTLSServer(t *testing.T, certs *Certs) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are meant to happen
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{load(t, certs.Server)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool(t, certs),
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func load(t *testing.T, files KeyPairFiles) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func pool(t *testing.T, certs *Certs) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(certs.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", certs.CAFile)
	}
	return pool
}

func get(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}
