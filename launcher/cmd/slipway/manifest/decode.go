package manifest

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
)

// decode returns the object in its v1 form with the API server's defaults, nil for a kind
// that has no bearing on where pods go, or all that is wrong with it.
func (r *reader) decode(o *object) (runtime.Object, error) {
	gv, err := schema.ParseGroupVersion(o.apiVersion)
	if err != nil {
		return nil, o.errorAt("apiVersion", err.Error())
	}
	gvk := gv.WithKind(o.kind)
	if gvk.Group == v1alpha1.Group {
		return r.decodeCustom(o, gvk)
	}
	rules, ok := strategies()[gvk.GroupKind()]
	if !ok {
		return nil, nil
	}
	if !legacyscheme.Scheme.Recognizes(gvk) {
		return nil, o.errorAt("apiVersion", "there is no "+o.kind+" in "+o.apiVersion)
	}
	decoded, err := r.decodeStrictly(o)
	if err != nil {
		return nil, err
	}
	if err := complete(o, decoded, rules.NamespaceScoped()); err != nil {
		return nil, err
	}
	legacyscheme.Scheme.Default(decoded)
	internal, err := legacyscheme.Scheme.ConvertToVersion(decoded, schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return nil, o.errorAt("", err.Error())
	}
	if gvk.Version != "v1" { // all kinds of strategies have one
		if decoded, err = legacyscheme.Scheme.ConvertToVersion(internal, schema.GroupVersion{Group: gvk.Group, Version: "v1"}); err != nil {
			return nil, o.errorAt("", err.Error())
		}
	}
	// What creation does to an object (clearing its status, say) stays with the copy.
	if m, err := meta.Accessor(internal); err == nil && m.GetUID() == "" {
		m.SetUID("planned") // a Job's selector is made of it
	}
	ctx := request.WithRequestInfo(context.Background(), &request.RequestInfo{APIGroup: gvk.Group, APIVersion: gvk.Version, Verb: "create"})
	rules.PrepareForCreate(ctx, internal)
	return decoded, o.invalid(tolerate(rules.Validate(ctx, internal)))
}

func newDecoder() runtime.Decoder {
	return serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
}

// decodeStrictly refuses unknown and repeated fields as well.
func (r *reader) decodeStrictly(o *object) (runtime.Object, error) {
	gvk := schema.FromAPIVersionAndKind(o.apiVersion, o.kind)
	decoded, _, err := r.decoder.Decode(o.json, &gvk, nil)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		var errs []*input.Error
		for _, e := range strict.Errors() {
			errs = append(errs, o.errorAt(quoted(e.Error()), e.Error()))
		}
		return nil, join(errs)
	}
	if err != nil {
		path := blame(o.json, func(raw []byte) error {
			_, _, err := r.decoder.Decode(raw, &gvk, nil)
			return err
		})
		return nil, o.errorAt(path, strings.TrimPrefix(pretty(path)+": "+typeMismatch(err), ": "))
	}
	return decoded, nil
}

// inQuotes is where the strict decoder names a field: unknown field "spec.replica".
var inQuotes = regexp.MustCompile(`"(.*)"`)

func quoted(text string) string {
	if m := inQuotes.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// complete gives an object what creation would: a namespace, a name, a UID.
func complete(o *object, decoded runtime.Object, namespaced bool) error {
	m, err := meta.Accessor(decoded)
	if err != nil {
		return o.errorAt("", err.Error())
	}
	if namespaced && m.GetNamespace() == "" {
		m.SetNamespace(metav1.NamespaceDefault)
	}
	if m.GetName() == "" && m.GetGenerateName() != "" {
		m.SetName(m.GetGenerateName() + "generated")
	}
	name := m.GetName()
	if namespaced {
		name = m.GetNamespace() + "/" + name
	}
	o.subject = o.kind + " " + name
	if m.GetName() == "" {
		return o.errorAt("metadata", "metadata.name: it has no name")
	}
	return nil
}

// tolerate drops what the API server would say of a sketch or of a copy of a live object:
// a container's name and image have no bearing on where its pod goes, and only live pods
// have ephemeral containers.
func tolerate(errs field.ErrorList) field.ErrorList {
	var kept field.ErrorList
	for _, e := range errs {
		sketch := e.Type == field.ErrorTypeRequired && sketchy.MatchString(e.Field)
		live := e.Type == field.ErrorTypeForbidden && strings.HasSuffix(e.Field, "spec.ephemeralContainers")
		if !sketch && !live {
			kept = append(kept, e)
		}
	}
	return kept
}

var sketchy = regexp.MustCompile(`ontainers\[\d+\]\.(name|image)$`)

// invalid makes errors of a validation's findings.
func (o *object) invalid(found field.ErrorList) error {
	var errs []*input.Error
	for _, e := range found {
		errs = append(errs, o.errorAt(e.Field, e.Error()))
	}
	return join(errs)
}

// join makes one error of several, by line.
func join(found []*input.Error) error {
	slices.SortStableFunc(found, func(a, b *input.Error) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	for _, e := range found {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}
