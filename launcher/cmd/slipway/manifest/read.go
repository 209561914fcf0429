package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// maxErrors bounds how many errors are reported at once.
const maxErrors = 20

// Result is what the manifests hold.
type Result struct {
	Objects *workload.Objects
	// Ignored counts, by kind, the objects that have no bearing on where pods go. A kind that
	// shares its name with one that does is named with its version.
	Ignored map[string]int
}

// Read reads files, directories (all *.yaml, *.yml and *.json below them, in order of their
// names) and, for "-", stdin. All that is wrong is reported together; every error wraps
// input.ErrWrong.
func Read(paths []string, stdin io.Reader) (*Result, error) {
	r := &reader{
		result:      &Result{Objects: &workload.Objects{}, Ignored: map[string]int{}},
		seen:        map[string]*object{},
		definitions: map[string]*Definition{},
		decoder:     newDecoder(),
	}
	return r.result, walk(paths, stdin, r.object)
}

type reader struct {
	result      *Result
	seen        map[string]*object // by kind and name
	definitions map[string]*Definition
	decoder     runtime.Decoder
}

// walker goes through files and has each object taken.
type walker struct {
	take func(*object) error
	errs []error
}

func walk(paths []string, stdin io.Reader, take func(*object) error) error {
	w := &walker{take: take}
	for _, path := range paths {
		if err := w.path(path, stdin); err != nil {
			return err
		}
	}
	if len(w.errs) > maxErrors {
		more := len(w.errs) - maxErrors
		w.errs = append(w.errs[:maxErrors], fmt.Errorf("%w: and %d more errors", input.ErrWrong, more))
	}
	return errors.Join(w.errs...)
}

func (w *walker) path(path string, stdin io.Reader) error {
	if path == "-" {
		raw, err := io.ReadAll(stdin)
		if err != nil {
			return fmt.Errorf("%w: standard input: %w", input.ErrWrong, err)
		}
		w.file("stdin", raw)
		return nil
	}
	files, err := list(path)
	if err != nil {
		return fmt.Errorf("%w: -f %s: %w", input.ErrWrong, path, reason(err))
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("%w: -f %s: %w", input.ErrWrong, name, reason(err))
		}
		w.file(name, raw)
	}
	return nil
}

// reason leaves out the system call and the path, which errors name already.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// list returns the file itself, or the manifests below a directory.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			files = append(files, name)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("no *.yaml, *.yml or *.json file below this directory")
	}
	return files, err
}

func (w *walker) file(name string, raw []byte) {
	for _, d := range split(name, raw) {
		objects, err := d.objects()
		if err != nil {
			w.errs = append(w.errs, err)
			continue
		}
		for _, o := range objects {
			if err := w.object(o); err != nil {
				w.errs = append(w.errs, err)
			}
		}
	}
}

func (w *walker) object(o *object) error {
	if o.kind == "" || o.apiVersion == "" {
		return o.errorAt("", "it needs apiVersion and kind")
	}
	return w.take(o)
}

func (o *object) ignoredAs() string {
	for known := range strategies() {
		if known.Kind == o.kind {
			return o.kind + " of " + o.apiVersion
		}
	}
	return o.kind
}

// object decodes one object and keeps it.
func (r *reader) object(o *object) error {
	decoded, err := r.decode(o)
	if err != nil {
		return err
	}
	if decoded == nil || !r.result.Objects.Add(decoded) {
		r.result.Ignored[o.ignoredAs()]++
		return nil
	}
	if first, twice := r.seen[o.subject]; twice {
		return o.errorAt("", fmt.Sprintf("is given twice, first at %s:%d", first.doc.file, first.line("")))
	}
	r.seen[o.subject] = o
	return nil
}
