package main

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// pack packs a program whose file was written just now.
func pack(t *testing.T, content string) (dir string, digest v1.Hash) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "image")
	digest, err := packing{
		name: "daemon", version: "v1", created: time.Unix(1e9, 0).UTC(),
		programs: []string{"linux/amd64=" + program, "linux/arm64=" + program},
	}.write(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

// TestReproducible: the image depends on the program's content and on nothing else of it.
func TestReproducible(t *testing.T) {
	_, first := pack(t, "x")
	if _, again := pack(t, "x"); again != first {
		t.Errorf("the same input gave %s and %s", first, again)
	}
	if _, other := pack(t, "y"); other == first {
		t.Error("another program gave the same image")
	}
}

// TestImage reads an image back.
func TestImage(t *testing.T) {
	dir, digest := pack(t, "x")
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 {
		t.Fatalf("%d images, want one a platform", len(manifest.Manifests))
	}
	for i, architecture := range []string{"amd64", "arm64"} {
		m := manifest.Manifests[i]
		if m.Platform == nil || m.Platform.Architecture != architecture || m.Platform.OS != "linux" {
			t.Errorf("image %d is for %v, want linux/%s", i, m.Platform, architecture)
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if c := config.Config; c.User != "65532:65532" || len(c.Entrypoint) != 1 || c.Entrypoint[0] != "/daemon" || config.Architecture != architecture {
			t.Errorf("configuration: %+v", config)
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers: %v", len(layers), err)
		}
		content, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewReader(content)
		header, err := archive.Next()
		if err != nil || header.Name != "daemon" || header.Mode != 0o555 || header.Uid != 0 || !header.ModTime.Equal(time.Unix(1e9, 0)) {
			t.Errorf("file: %+v, %v", header, err)
		}
		if _, err := archive.Next(); err != io.EOF {
			t.Errorf("there is more than the program: %v", err)
		}
	}
}

// TestRefuses: what cannot be packed is said.
func TestRefuses(t *testing.T) {
	for name, p := range map[string]packing{
		"no program":  {name: "daemon"},
		"no platform": {name: "daemon", programs: []string{"file"}},
		"no file":     {name: "daemon", programs: []string{"linux/amd64=" + filepath.Join(t.TempDir(), "nowhere")}},
		"no name":     {programs: []string{"linux/amd64=/dev/null"}},
	} {
		if _, err := p.write(filepath.Join(t.TempDir(), "image")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
