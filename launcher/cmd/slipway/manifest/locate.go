package manifest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// errorAt returns an error about a field of the object, in the notation of field.Path.
func (o *object) errorAt(path, detail string) *input.Error {
	return &input.Error{File: o.doc.file, Line: o.line(path), Subject: o.subject, Detail: detail}
}

// line finds the line of a field; where the field is missing, that of the nearest one around it.
func (o *object) line(path string) int {
	n := o.doc.node()
	if n == nil {
		return o.doc.line
	}
	line := n.Line
	for _, step := range append(steps(o.path), steps(path)...) {
		key, value := child(n, step)
		if value == nil {
			break
		}
		n, line = value, key.Line
	}
	return o.doc.line + line - 1
}

// node parses the document for its lines; nil when it cannot.
func (d *document) node() *yaml.Node {
	if !d.parsed {
		d.parsed = true
		raw := d.raw
		if json.Valid(raw) {
			raw = bytes.ReplaceAll(raw, []byte("\t"), []byte(" ")) // JSON may be indented with tabs, YAML may not
		}
		var n yaml.Node
		if yaml.Unmarshal(raw, &n) == nil && len(n.Content) > 0 {
			d.root = n.Content[0]
		}
	}
	return d.root
}

// child finds a mapping's entry or a list's item, with the node whose line it is found at.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	}
	return nil, nil
}

// steps splits "spec.containers[0].resources.requests[cpu]"; a key in brackets may hold dots.
func steps(path string) []string {
	var all []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case path[0] == '[' && strings.Contains(path, "]"):
			end := strings.Index(path, "]")
			all, path = append(all, path[1:end]), path[end+1:]
		default:
			end := strings.IndexAny(path[1:], ".[") + 1
			if end == 0 {
				end = len(path)
			}
			all, path = append(all, path[:end]), path[end:]
		}
	}
	return all
}

// maxTries bounds the search for what a decoder dislikes.
const maxTries = 2000

// blame finds the field that makes decode fail where its error does not say: the first
// without which it fails no more, or otherwise. It returns "" for none.
func blame(raw []byte, decode func([]byte) error) string {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return ""
	}
	before := decode(raw).Error()
	tries := 0
	improves := func() bool {
		tries++
		without, err := json.Marshal(root)
		if err != nil || tries > maxTries {
			return false
		}
		after := decode(without)
		return after == nil || after.Error() != before
	}
	return search(root, "", improves)
}

// search leaves out one value after the other, inner ones first.
func search(value any, path string, improves func() bool) string {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := path + "[" + key + "]"
			if found := search(v[key], below, improves); found != "" {
				return found
			}
			kept := v[key]
			delete(v, key)
			better := improves()
			v[key] = kept
			if better {
				return below
			}
		}
	case []any:
		for i := range v {
			below := path + "[" + strconv.Itoa(i) + "]"
			if found := search(v[i], below, improves); found != "" {
				return found
			}
			kept := v[i]
			v[i] = nil
			better := improves()
			v[i] = kept
			if better {
				return below
			}
		}
	}
	return ""
}

// pretty writes a path of blame as people do.
func pretty(path string) string {
	var out strings.Builder
	for _, s := range steps(path) {
		_, err := strconv.Atoi(s)
		switch {
		case err == nil:
			out.WriteString("[" + s + "]")
		case strings.ContainsAny(s, "./"):
			out.WriteString("[" + s + "]")
		case out.Len() > 0:
			out.WriteString("." + s)
		default:
			out.WriteString(s)
		}
	}
	return out.String()
}
