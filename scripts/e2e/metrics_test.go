package e2e

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// scrape reads a daemon's metrics as the administrator.
func (w *world) scrape(url string) string {
	w.t.Helper()
	admin := w.Cluster.RESTConfig()
	pair, err := tls.X509KeyPair(admin.CertData, admin.KeyData)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // the scheduler makes up its serving certificate
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url) //nolint:noctx // bounded by its timeout
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(body)
}

// TestMetrics: every metric that the README documents is served by the daemon it names,
// and none of ours is left out there. Alerts and dashboard use no other.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("t3", time.Second, "t3.medium"))
	d := deployment("web", 1, "1")
	w.create(d)
	w.bound("web", 1)
	w.delete(d)
	w.clean()
	w.create(deployment("again", 1, "1")) // so that there is a node to count
	w.bound("again", 1)

	readme, err := os.ReadFile(filepath.Join(repo, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{"launcher": w.scrape(w.LauncherMetrics), "scheduler": w.scrape(w.SchedulerMetrics)}
	documented := map[string]bool{}
	name := regexp.MustCompile("`(slipway_[a-z_]+)`")
	for line := range strings.SplitSeq(string(readme), "\n") {
		for daemon, text := range served {
			if !strings.HasPrefix(line, "| `slipway_") || !strings.Contains(line, "| "+daemon+": ") {
				continue
			}
			for _, m := range name.FindAllStringSubmatch(line, -1) {
				documented[m[1]] = true
				if !strings.Contains(text, "# HELP "+m[1]+" ") {
					t.Errorf("the %s does not serve %s", daemon, m[1])
				}
			}
		}
	}
	for daemon, text := range served {
		for _, m := range regexp.MustCompile(`(?m)^# HELP (slipway_[a-z_]+) `).FindAllStringSubmatch(text, -1) {
			if !documented[m[1]] {
				t.Errorf("the README does not document %s of the %s", m[1], daemon)
			}
		}
	}
	for _, file := range []string{"rendered/full/slipway.yaml", "grafana/slipway.json"} {
		raw, err := os.ReadFile(filepath.Join(repo, "manifests", file))
		if err != nil {
			t.Fatal(err)
		}
		used := regexp.MustCompile(`\bslipway_[a-z_]+`).FindAllString(string(raw), -1)
		if len(used) < 10 {
			t.Errorf("%s uses only %d metrics", file, len(used))
		}
		for _, name := range used {
			if !documented[name] && !documented[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s uses %s, which is not documented", file, name)
			}
		}
	}
}
