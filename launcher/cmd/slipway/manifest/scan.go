package manifest

import (
	"io"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// Object is one object as it is written.
type Object struct {
	APIVersion, Kind string
	Fields           map[string]any
	at               *object
}

// Scan reads files as Read does, but decodes nothing.
func Scan(paths []string, stdin io.Reader) ([]*Object, error) {
	var all []*Object
	err := walk(paths, stdin, func(o *object) error {
		fields := map[string]any{}
		if err := utiljson.Unmarshal(o.json, &fields); err != nil {
			return o.errorAt("", err.Error())
		}
		all = append(all, &Object{APIVersion: o.apiVersion, Kind: o.kind, Fields: fields, at: o})
		return nil
	})
	return all, err
}

// At returns an error about a field, in the notation of field.Path.
func (o *Object) At(path, detail string) *input.Error { return o.at.errorAt(path, detail) }
