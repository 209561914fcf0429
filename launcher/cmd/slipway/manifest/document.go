package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// document is one YAML document, or the only one of a JSON file.
type document struct {
	file string
	line int // that it begins at, from 1
	raw  []byte

	root   *yaml.Node // parsed when a line is asked for
	parsed bool
}

// separator is a line that ends a document. Text after it is part of the next one.
var separator = regexp.MustCompile(`(?m)^---(?:[ \t\r]|$)`)

// split cuts a file at its separators.
func split(file string, raw []byte) []*document {
	var docs []*document
	line, begin := 1, 0
	add := func(end int) {
		text := raw[begin:end]
		if len(bytes.TrimSpace(text)) > 0 {
			docs = append(docs, &document{file: file, line: line, raw: text})
		}
		line += bytes.Count(text, []byte("\n"))
	}
	for _, at := range separator.FindAllIndex(raw, -1) {
		add(at[0])
		begin = at[0] + len("---")
	}
	add(len(raw))
	return docs
}

// object is one object of a document.
type object struct {
	doc              *document
	path             string // within the document: "" or "items[3]"
	json             []byte
	apiVersion, kind string
	subject          string // "Pod default/a", once it is known
}

// objects lists what a document holds: nothing, one object, or a List's items.
func (d *document) objects() ([]*object, error) {
	raw, err := d.toJSON()
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	whole := &object{doc: d, json: raw}
	items, err := whole.identify()
	if err != nil {
		return nil, err
	}
	item, isList := strings.CutSuffix(whole.kind, "List")
	if !isList {
		return []*object{whole}, nil
	}
	var all []*object
	for i, raw := range items {
		o := &object{doc: d, path: fmt.Sprintf("items[%d]", i), json: raw}
		if _, err := o.identify(); err != nil {
			return nil, err
		}
		if o.kind == "" && item != "" { // a PodList's items may leave out what they are
			o.apiVersion, o.kind = whole.apiVersion, item
		}
		all = append(all, o)
	}
	return all, nil
}

// identify reads what kind of object it is; a List's items are returned.
func (o *object) identify() (items []json.RawMessage, err error) {
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(o.json, &head); err != nil {
		return nil, o.errorAt("", "is no Kubernetes object: "+typeMismatch(err))
	}
	o.apiVersion, o.kind = head.APIVersion, head.Kind
	var named struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(o.json, &named) // for errors only; decoding tells what is wrong
	o.subject = strings.TrimSpace(o.kind + " " + named.Metadata.Name)
	return head.Items, nil
}

// yamlLine is how the YAML parser says where.
var yamlLine = regexp.MustCompile(`line (\d+): `)

func (d *document) toJSON() ([]byte, error) {
	if json.Valid(d.raw) {
		return d.raw, nil
	}
	raw, err := sigsyaml.YAMLToJSONStrict(d.raw)
	if err == nil {
		return raw, nil
	}
	if looksLikeJSON(d.raw) {
		return nil, d.jsonError(err)
	}
	var errs []error
	for text := range strings.SplitSeq(err.Error(), "\n") {
		e := &input.Error{File: d.file, Line: d.line, Detail: strings.TrimPrefix(strings.TrimPrefix(text, "error converting YAML to JSON: "), "yaml: ")}
		if at := yamlLine.FindStringSubmatchIndex(e.Detail); at != nil {
			n, _ := strconv.Atoi(e.Detail[at[2]:at[3]]) // digits
			e.Line, e.Detail = d.line+n-1, e.Detail[at[1]:]
		} else if strings.TrimSpace(text) == "" || strings.HasSuffix(text, "unmarshal errors:") {
			continue // a heading
		}
		errs = append(errs, e)
	}
	return nil, errors.Join(errs...)
}

func looksLikeJSON(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[')
}

// jsonError says what is wrong with JSON in JSON's terms; with the YAML error where JSON
// has no objection.
func (d *document) jsonError(asYAML error) error {
	e := &input.Error{File: d.file, Line: d.line, Detail: asYAML.Error()}
	var value any
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(d.raw, &value)); ok {
		e.Detail = syntax.Error()
		e.Line += bytes.Count(d.raw[:min(int(syntax.Offset), len(d.raw))], []byte("\n"))
	}
	return e
}

// typeMismatch rewords an error of decoding JSON for people who wrote YAML.
func typeMismatch(err error) string {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err.Error()
	}
	return fmt.Sprintf("got %s where %s is wanted", article(mismatch.Value), wanted(mismatch.Type.Kind().String()))
}

func wanted(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "an integer"
	case kind == "slice":
		return "a list"
	case kind == "map", kind == "struct":
		return "a mapping"
	case kind == "bool":
		return "true or false"
	}
	return article(kind)
}

func article(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "bool":
		return "a boolean"
	}
	if number, ok := strings.CutPrefix(value, "number "); ok {
		return "the number " + number
	}
	return "a " + value
}
