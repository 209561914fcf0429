package simec2

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// parseTags reads Tag.N.{Key,Value}.
func parseTags(p *params) map[string]string {
	out := map[string]string{}
	for _, t := range p.structs("Tag") {
		key := t.required("Key")
		if strings.HasPrefix(key, "aws:") {
			t.reject("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		}
		if _, dup := out[key]; dup {
			t.reject("InvalidParameterValue", "Duplicate tag key '%s' specified.", key)
		}
		if len(key) > 128 {
			t.reject("InvalidParameterValue", "Tag key exceeds the maximum length of 128 characters")
		}
		value := t.str("Value")
		if len(value) > 256 {
			t.reject("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		}
		out[key] = value
	}
	if len(out) > 50 {
		p.reject("TagLimitExceeded", "More than 50 tags specified.")
	}
	return out
}

// parseTagSpecs reads TagSpecification.N for the named resource types.
func parseTagSpecs(p *params, resourceTypes ...string) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, spec := range p.structs("TagSpecification") {
		kind := spec.oneOf("ResourceType", resourceTypes...)
		if _, dup := out[kind]; dup {
			spec.reject("InvalidParameterValue", "Duplicate tag specification for '%s'", kind)
		}
		out[kind] = parseTags(spec)
	}
	return out
}

func tagSet(tags map[string]string) []tagXML {
	out := make([]tagXML, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tagXML{key, tags[key]})
	}
	return out
}

type simpleAnswer struct {
	Meta
	Return bool `xml:"return"`
}

func (r *region) createTags(p *params, now time.Time) (any, *apiError) {
	ids := p.list("ResourceId")
	tags := parseTags(p)
	if len(ids) == 0 || len(tags) == 0 {
		p.reject("MissingParameter", "The request must contain the parameters ResourceId and Tag")
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	// All or nothing: look every resource up first.
	apply := make([]func(), 0, len(ids))
	for _, id := range ids {
		do, err := r.tagger(id, tags, now)
		if err != nil {
			return nil, err
		}
		apply = append(apply, do)
	}
	for _, do := range apply {
		do()
	}
	return &simpleAnswer{Return: true}, nil
}

func (r *region) tagger(id string, tags map[string]string, now time.Time) (func(), *apiError) {
	switch prefix, _, _ := strings.Cut(id, "-"); prefix {
	case "i":
		if m, ok := r.machines[id]; ok {
			return func() { r.tag(m, tags, now) }, nil
		}
		return nil, refuse("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	case "lt":
		if t, ok := r.templates[id]; ok {
			return func() { maps.Copy(t.tags, tags) }, nil
		}
		return nil, refuse("InvalidLaunchTemplateId.NotFound", "The launch template ID '%s' does not exist", id)
	case "fleet":
		if f, ok := r.fleets[id]; ok {
			return func() { maps.Copy(f, tags) }, nil
		}
		return nil, refuse("InvalidFleetId.NotFound", "The fleet ID '%s' does not exist", id)
	}
	return nil, refuse("InvalidID", "The ID '%s' is not valid or its kind is not simulated", id)
}
