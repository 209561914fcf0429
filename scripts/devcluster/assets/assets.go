// Package assets owns the dev cluster's binaries: etcd, kube-apiserver and
// kube-controller-manager. They are built once from their Go modules, at the
// versions that scripts/tools/controlplane pins, into a cache outside the tree.
package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// EnvDir names a directory of ready binaries, which are then used instead of
// building any. It is the variable that controller-runtime's envtest reads.
const EnvDir = "KUBEBUILDER_ASSETS"

// modulePath is where, below the repository's root, the binaries are pinned.
const modulePath = "scripts/tools/controlplane"

var (
	// ErrNotBuilt says that the binaries are not there yet.
	ErrNotBuilt = errors.New("control plane binaries not built (run `make controlplane`)")
	// ErrIncomplete says that the directory named by EnvDir lacks a binary.
	ErrIncomplete = errors.New("control plane binary missing")
	// ErrNoModule says that no scripts/tools/controlplane lies at or above the working directory.
	ErrNoModule = errors.New("module " + modulePath + " not found")
)

// Names returns the file names of the binaries.
func Names() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager"}
}

// Find returns the directory that holds the binaries: the one EnvDir names, or
// else the cache's. It builds nothing; ErrNotBuilt says that Build has to run
// first.
func Find() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		if err := complete(dir); err != nil {
			return "", fmt.Errorf("%s: %w", EnvDir, err)
		}
		return dir, nil
	}
	m, err := findModule()
	if err != nil {
		return "", err
	}
	dir, err := m.cacheDir()
	if err != nil {
		return "", err
	}
	if complete(dir) != nil {
		return "", fmt.Errorf("%s: %w", dir, ErrNotBuilt)
	}
	return dir, nil
}

// complete checks that dir holds every binary.
func complete(dir string) error {
	for _, name := range Names() {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrIncomplete, err)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%w: %s is not executable", ErrIncomplete, path)
		}
	}
	return nil
}

// module is the Go module that pins the binaries.
type module struct {
	dir        string
	kubernetes string // version of k8s.io/kubernetes, such as v1.36.3
	sum        string // of go.mod and go.sum
}

// findModule looks for the module at and above the working directory, so that
// tests find it from their package's directory.
func findModule() (module, error) {
	start, err := os.Getwd()
	if err != nil {
		return module{}, err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		m, err := readModule(filepath.Join(dir, modulePath))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return m, err
		}
		if dir == filepath.Dir(dir) {
			return module{}, fmt.Errorf("%w at or above %s", ErrNoModule, start)
		}
	}
}

func readModule(dir string) (module, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return module{}, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return module{}, err
	}
	match := regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v\S+)`).FindSubmatch(mod)
	if match == nil {
		return module{}, fmt.Errorf("%s: go.mod does not require k8s.io/kubernetes", dir)
	}
	hash := sha256.Sum256(append(mod, sum...))
	return module{dir: dir, kubernetes: string(match[1]), sum: hex.EncodeToString(hash[:6])}, nil
}

// cacheDir is where the binaries of exactly these versions are kept.
func (m module) cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "slipway", "controlplane", m.kubernetes+"-"+m.sum), nil
}
