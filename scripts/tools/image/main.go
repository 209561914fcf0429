// Command image packs a static program into an OCI image of several platforms: the program
// and nothing else, run by nobody. The same input gives the same image, to the byte.
//
//	image --name slipway-launcher --version v1.2.3 --created 1767225600 --output DIR \
//		linux/amd64=bin/amd64/slipway-launcher linux/arm64=bin/arm64/slipway-launcher
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is whom the program runs as, as in distroless images.
const nobody = "65532:65532"

const source = "https://github.com/slipway-dev/slipway"

func main() {
	var p packing
	flag.StringVar(&p.name, "name", "", "name of the program")
	flag.StringVar(&p.version, "version", "", "version of the program")
	created := flag.Int64("created", 0, "when it was made, in seconds since 1970, such as the commit's time")
	output := flag.String("output", "", "directory for the OCI layout, which must not exist")
	flag.Parse()
	p.created, p.programs = time.Unix(*created, 0).UTC(), flag.Args()
	digest, err := p.write(*output)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %s\n", digest, p.name)
}

type packing struct {
	name, version string
	created       time.Time
	programs      []string // OS/ARCHITECTURE=FILE
}

// write writes the image for all platforms as an OCI layout, and returns its digest.
func (p packing) write(dir string) (v1.Hash, error) {
	if _, err := os.Stat(dir); err == nil {
		return v1.Hash{}, fmt.Errorf("%s exists", dir)
	}
	index, err := p.index()
	if err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

func (p packing) index() (v1.ImageIndex, error) {
	if p.name == "" || len(p.programs) == 0 {
		return nil, fmt.Errorf("a name and at least one program are needed")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, program := range p.programs {
		platform, file, ok := strings.Cut(program, "=")
		os, architecture, both := strings.Cut(platform, "/")
		if !ok || !both {
			return nil, fmt.Errorf("%q is not OS/ARCHITECTURE=FILE", program)
		}
		target := v1.Platform{OS: os, Architecture: architecture}
		image, err := p.image(target, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &target}})
	}
	return index, nil
}

// image is the program on one platform.
func (p packing) image(target v1.Platform, file string) (v1.Image, error) {
	program, err := os.ReadFile(file) //nolint:gosec // what the user names
	if err != nil {
		return nil, err
	}
	archive, err := p.archive(program)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: p.created}, CreatedBy: "scripts/tools/image"},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = target.OS, target.Architecture, v1.Time{Time: p.created}
	config.Config = v1.Config{
		User: nobody, WorkingDir: "/", Entrypoint: []string{"/" + p.name},
		Labels: map[string]string{
			"org.opencontainers.image.title": p.name, "org.opencontainers.image.version": p.version,
			"org.opencontainers.image.source": source, "org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

// archive is the file system: the program alone.
func (p packing) archive(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: p.name, Mode: 0o555, Size: int64(len(program)), ModTime: p.created, Format: tar.FormatPAX,
	}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}
