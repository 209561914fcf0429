package simec2

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// params reads the flat form of the EC2 Query protocol, in which structures are
// dotted names and lists are numbered from 1 (Filter.1.Value.2). It remembers
// what was read: whatever is left at finish is something the simulator does not
// model, and the request is refused.
type params struct {
	prefix string
	form   *form
}

// form is what all views of one request share.
type form struct {
	values   map[string]string
	parents  map[string]bool // every dotted prefix of a name in values
	consumed map[string]bool
	err      *apiError // the first complaint
}

func newParams(values url.Values) *params {
	f := &form{values: map[string]string{}, parents: map[string]bool{}, consumed: map[string]bool{}}
	for name, vs := range values {
		if len(vs) != 1 {
			f.complain(refuse("InvalidParameterValue", "The parameter %s is given more than once.", name))
		}
		f.values[name] = vs[0]
		for i, r := range name {
			if r == '.' {
				f.parents[name[:i]] = true
			}
		}
	}
	return &params{form: f}
}

func (f *form) complain(err *apiError) {
	if f.err == nil {
		f.err = err
	}
}

// str returns the parameter's value, "" when it is absent.
func (p *params) str(name string) string {
	full := p.prefix + name
	p.form.consumed[full] = true
	return p.form.values[full]
}

// has tells whether the parameter or anything below it was sent.
func (p *params) has(name string) bool {
	_, ok := p.form.values[p.prefix+name]
	return ok || p.form.parents[p.prefix+name]
}

// required is str for what may not be left out.
func (p *params) required(name string) string {
	v := p.str(name)
	if v == "" {
		p.form.complain(refuse("MissingParameter", "The request must contain the parameter %s", p.prefix+name))
	}
	return v
}

// oneOf is str for an enumeration; "" is let through.
func (p *params) oneOf(name string, allowed ...string) string {
	v := p.str(name)
	if v != "" && !slices.Contains(allowed, v) {
		p.form.complain(refuse("InvalidParameterValue",
			"Value (%s) for parameter %s is invalid or not simulated. Known: %s.", v, p.prefix+name, strings.Join(allowed, ", ")))
	}
	return v
}

func (p *params) integer(name string, fallback, least, most int) int {
	v := p.str(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		p.form.complain(refuse("InvalidParameterValue",
			"Value (%s) for parameter %s is invalid. Expecting %d to %d.", v, p.prefix+name, least, most))
	}
	return n
}

func (p *params) float(name string) (v float64, given bool) {
	s := p.str(name)
	if s == "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 {
		p.form.complain(refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid.", s, p.prefix+name))
	}
	return v, true
}

func (p *params) boolean(name string) bool {
	switch v := p.str(name); v {
	case "", "false":
		return false
	case "true":
		return true
	default:
		p.form.complain(refuse("InvalidParameterValue", "Value (%s) for parameter %s is invalid.", v, p.prefix+name))
		return false
	}
}

// timestamp reads an optional point in time.
func (p *params) timestamp(name string) time.Time {
	v := p.str(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.reject("InvalidParameterValue", "Value (%s) for parameter %s is not a timestamp", v, name)
	}
	return t
}

// list reads Name.1, Name.2, …
func (p *params) list(name string) []string {
	var out []string
	for i := 1; ; i++ {
		key := fmt.Sprintf("%s.%d", name, i)
		if _, ok := p.form.values[p.prefix+key]; !ok {
			return out
		}
		out = append(out, p.str(key))
	}
}

// structs returns a view of each of Name.1.…, Name.2.…
func (p *params) structs(name string) []*params {
	var out []*params
	for i := 1; ; i++ {
		full := fmt.Sprintf("%s%s.%d", p.prefix, name, i)
		if !p.form.parents[full] {
			return out
		}
		out = append(out, &params{prefix: full + ".", form: p.form})
	}
}

// sub returns a view of Name.…
func (p *params) sub(name string) *params {
	return &params{prefix: p.prefix + name + ".", form: p.form}
}

// reject complains of something that was understood and is wrong.
func (p *params) reject(code, format string, args ...any) {
	p.form.complain(refuse(code, format, args...))
}

// finish reports the first complaint, or the first parameter in alphabetical
// order that nobody read.
func (p *params) finish() *apiError {
	if p.form.err != nil {
		return p.form.err
	}
	var unread []string
	for name := range p.form.values {
		if !p.form.consumed[name] {
			unread = append(unread, name)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	slices.Sort(unread)
	return refuse("UnknownParameter", "The parameter %s is not recognized or not simulated", unread[0])
}

// hash identifies the request's parameters, for client tokens and the call log.
func (p *params) hash() string {
	names := make([]string, 0, len(p.form.values))
	for name := range p.form.values {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%q=%q\n", name, p.form.values[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
