package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// HTTPReady returns a readiness check that wants status 200 from a URL. For an
// https URL, ca holds the certificate authorities (PEM) that the server's
// certificate is checked against; with a nil ca it is not checked, for servers
// that make up a certificate when they start.
func HTTPReady(url string, ca []byte) func(ctx context.Context) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == nil {
		config.InsecureSkipVerify = true // nothing is sent, and only the status is read
	} else {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(ca)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // only for the message
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %s", url, response.Status, bytes.TrimSpace(body))
		}
		return nil
	}
}

// describeLog ends an error message with a log file's name and last lines.
func describeLog(path string) string {
	const lines, size = 5, 64 << 10
	message := "; log: " + path
	f, err := os.Open(path)
	if err != nil {
		return message
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > size {
		_, _ = f.Seek(-size, io.SeekEnd)
	}
	content, _ := io.ReadAll(io.LimitReader(f, size))
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return message + ", which ends with\n\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}
