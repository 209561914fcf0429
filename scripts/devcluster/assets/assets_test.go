package assets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFindUsesEnvDir(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]os.FileMode
		want  error
	}{
		{
			name:  "complete",
			files: map[string]os.FileMode{"etcd": 0o700, "kube-apiserver": 0o700, "kube-controller-manager": 0o700},
		},
		{
			name:  "without controller manager",
			files: map[string]os.FileMode{"etcd": 0o700, "kube-apiserver": 0o700, "kubectl": 0o700},
			want:  ErrIncomplete,
		},
		{
			name:  "not executable",
			files: map[string]os.FileMode{"etcd": 0o700, "kube-apiserver": 0o600, "kube-controller-manager": 0o700},
			want:  ErrIncomplete,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, mode := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv(EnvDir, dir)
			got, err := Find()
			if !errors.Is(err, tt.want) {
				t.Fatalf("Find() error = %v, want %v", err, tt.want)
			}
			if err == nil && got != dir {
				t.Errorf("Find() = %s, want %s", got, dir)
			}
		})
	}
}

func TestFindWithoutEnvDir(t *testing.T) {
	root := t.TempDir()
	writeModule(t, root, "k8s.io/kubernetes v1.2.3", "sum")
	below := filepath.Join(root, "some", "package")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvDir, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())

	t.Chdir(t.TempDir())
	if _, err := Find(); !errors.Is(err, ErrNoModule) {
		t.Errorf("Find() outside the tree: error = %v, want %v", err, ErrNoModule)
	}
	t.Chdir(below)
	if _, err := Find(); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Find() before a build: error = %v, want %v", err, ErrNotBuilt)
	}
}

func TestCacheDirNamesVersions(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	dir := func(require, sum string) string {
		t.Helper()
		root := t.TempDir()
		writeModule(t, root, require, sum)
		m, err := readModule(filepath.Join(root, modulePath))
		if err != nil {
			t.Fatal(err)
		}
		dir, err := m.cacheDir()
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	base := dir("k8s.io/kubernetes v1.2.3", "a")
	if !strings.HasPrefix(base, "/cache/slipway/controlplane/v1.2.3-") {
		t.Errorf("cache directory %s does not name the version", base)
	}
	if again := dir("k8s.io/kubernetes v1.2.3", "a"); again != base {
		t.Errorf("same module, different directories: %s and %s", base, again)
	}
	if other := dir("k8s.io/kubernetes v1.2.3", "b"); other == base {
		t.Errorf("a different go.sum shares the directory %s", base)
	}
}

func writeModule(t *testing.T, root, require, sum string) {
	t.Helper()
	dir := filepath.Join(root, modulePath)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mod := "module m\n\nrequire (\n\t" + require + " // indirect\n)\n"
	for name, content := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCountCompiled(t *testing.T) {
	m := &meter{}
	other := countCompiled(strings.NewReader(`go: downloading k8s.io/api v0.36.3
k8s.io/api/core/v1
golang.org/x/sys/unix
# k8s.io/broken
broken.go:1:1: syntax error
`), m)
	if m.downloaded.Load() != 1 || m.compiled.Load() != 2 {
		t.Errorf("downloaded %d, compiled %d, want 1 and 2", m.downloaded.Load(), m.compiled.Load())
	}
	if diff := cmp.Diff("# k8s.io/broken\nbroken.go:1:1: syntax error", other); diff != "" {
		t.Errorf("compiler's words (-want +got):\n%s", diff)
	}
}

func TestMeterPrintsLastLine(t *testing.T) {
	var out strings.Builder
	m := startMeter(&out, 10)
	m.compiled.Add(7)
	m.stop()
	if !strings.Contains(out.String(), "7 packages compiled, of at most 10") {
		t.Errorf("last line = %q", out.String())
	}
}
