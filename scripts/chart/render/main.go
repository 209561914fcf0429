// Command render splits what `helm template` prints into the files that the rest of the
// repository reads: DIR/slipway.yaml, all objects but Secrets, whose certificates differ each
// time, and DIR/scheduler.yaml and DIR/launcher.yaml, the daemons' configuration.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const header = "# Rendered from manifests/chart by `make generate`; do not edit.\n"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: helm template … | render DIR")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, dir string) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	files, err := split(raw)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(header+content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// configurations are the files of the ConfigMaps that hold them as config.yaml.
var configurations = map[string]string{"slipway-scheduler": "scheduler.yaml", "slipway-launcher": "launcher.yaml"}

// split returns the files' contents by name.
func split(rendered []byte) (map[string]string, error) {
	files := map[string]string{}
	for doc := range bytes.SplitSeq(append([]byte("\n"), rendered...), []byte("\n---\n")) {
		var object corev1.ConfigMap // or whatever else has a kind and a name
		if err := yaml.Unmarshal(doc, &object); err != nil {
			return nil, err
		}
		switch {
		case object.Kind == "" || object.Kind == "Secret":
			continue
		case object.Kind == "ConfigMap" && configurations[object.Name] != "":
			files[configurations[object.Name]] = object.Data["config.yaml"]
		}
		files["slipway.yaml"] += "---\n" + string(bytes.TrimSpace(doc)) + "\n"
	}
	if len(files) != 1+len(configurations) {
		return nil, fmt.Errorf("want the ConfigMaps of %d configurations among the objects, found %d", len(configurations), max(0, len(files)-1))
	}
	return files, nil
}
