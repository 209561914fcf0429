package simec2

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// filter is one Filter.N of a request: an object passes when one of its values
// for the name matches one of the patterns.
type filter struct {
	name     string
	patterns []string
}

func parseFilters(p *params) []filter {
	var out []filter
	for _, f := range p.structs("Filter") {
		parsed := filter{name: f.required("Name"), patterns: f.list("Value")}
		if len(parsed.patterns) == 0 {
			f.reject("InvalidParameterValue", "The filter '%s' has no values", parsed.name)
		}
		out = append(out, parsed)
	}
	return out
}

// fields maps a filter's name to what an object offers for it.
type fields[T any] map[string]func(T) []string

// one adapts a field with a single value.
func one[T any](get func(T) string) func(T) []string {
	return func(v T) []string { return []string{get(v)} }
}

// selectBy keeps what passes all filters. Names outside known are refused.
func selectBy[T any](all []T, filters []filter, known fields[T], tags func(T) map[string]string) ([]T, *apiError) {
	getters := make([]func(T) []string, len(filters))
	for i, f := range filters {
		get, ok := known[f.name]
		switch {
		case ok:
		case tags != nil && f.name == "tag-key":
			get = func(v T) []string { return slices.Collect(maps.Keys(tags(v))) }
		case tags != nil && strings.HasPrefix(f.name, "tag:"):
			key := strings.TrimPrefix(f.name, "tag:")
			get = func(v T) []string {
				if value, ok := tags(v)[key]; ok {
					return []string{value}
				}
				return nil
			}
		default:
			return nil, refuse("InvalidParameterValue", "The filter '%s' is invalid or not simulated", f.name)
		}
		getters[i] = get
	}
	var out []T
	for _, v := range all {
		if passes(v, filters, getters) {
			out = append(out, v)
		}
	}
	return out, nil
}

func passes[T any](v T, filters []filter, getters []func(T) []string) bool {
	for i, f := range filters {
		values := getters[i](v)
		if !slices.ContainsFunc(f.patterns, func(pattern string) bool {
			return slices.ContainsFunc(values, func(value string) bool { return matches(pattern, value) })
		}) {
			return false
		}
	}
	return true
}

// matches implements the wildcards * and ? of EC2 filters; a backslash escapes.
func matches(pattern, value string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return pattern == value
	}
	// path.Match treats a slash as a boundary and brackets as a class; EC2
	// knows neither.
	neutral := strings.NewReplacer("/", "\x00", "[", "\x01", "]", "\x02")
	ok, err := path.Match(neutral.Replace(pattern), neutral.Replace(value))
	return err == nil && ok
}
