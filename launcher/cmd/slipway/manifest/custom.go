package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	crvalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/manifests/crd"
)

// Definition is what the API server makes of a CustomResourceDefinition.
type Definition struct {
	structural *structuralschema.Structural
	validator  crvalidation.SchemaValidator
	rules      *schemacel.Validator
}

// decodeCustom decodes kinds of our own API group by their CustomResourceDefinitions:
// unknown fields, defaults, schema and CEL rules as in a cluster.
func (r *reader) decodeCustom(o *object, gvk schema.GroupVersionKind) (runtime.Object, error) {
	var into runtime.Object
	var plural string
	switch o.kind {
	case "NodePool":
		into, plural = &v1alpha1.NodePool{}, "nodepools"
	case "EC2NodeClass":
		into, plural = &v1alpha1.EC2NodeClass{}, "ec2nodeclasses"
	default:
		return nil, nil
	}
	if gvk.GroupVersion() != v1alpha1.GroupVersion {
		return nil, o.errorAt("apiVersion", fmt.Sprintf("there is no %s in %s, only in %s", o.kind, o.apiVersion, v1alpha1.GroupVersion))
	}
	def, err := r.definition(plural)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := utiljson.Unmarshal(o.json, &fields); err != nil {
		return nil, o.errorAt("", err.Error())
	}
	if err := o.checkName(fields); err != nil {
		return nil, err
	}
	if err := errors.Join(def.unknown(o, fields), o.invalid(def.Validate(fields))); err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, into, true); err != nil {
		return nil, o.errorAt("", err.Error())
	}
	return into, nil
}

// checkName refuses a name that the API server would.
func (o *object) checkName(fields map[string]any) error {
	metadata, _ := fields["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if name == "" {
		return o.errorAt("metadata", "metadata.name: it has no name")
	}
	if wrong := apivalidation.NameIsDNSSubdomain(name, false); len(wrong) > 0 {
		return o.errorAt("metadata.name", "metadata.name: "+strings.Join(wrong, "; "))
	}
	return nil
}

// unknown prunes the fields that the schema does not have and returns an error for each.
func (d *Definition) unknown(o *object, fields map[string]any) error {
	var errs []*input.Error
	for _, path := range d.Prune(fields) {
		errs = append(errs, o.errorAt(path, fmt.Sprintf("unknown field %q", path)))
	}
	return join(errs)
}

// Prune removes the fields that the schema does not have, and returns their paths.
func (d *Definition) Prune(fields map[string]any) []string {
	return pruning.PruneWithOptions(fields, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

// Validate sets the defaults and does what the API server does on creation. The CEL rules are
// left out where the schema is not met: they would fail for no reason of their own.
func (d *Definition) Validate(fields map[string]any) field.ErrorList {
	defaulting.PruneNonNullableNullsWithoutDefaults(fields, d.structural)
	defaulting.Default(fields, d.structural)
	errs := crvalidation.ValidateCustomResource(nil, fields, d.validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.structural, fields)...)
	if len(errs) > 0 || d.rules == nil {
		return errs
	}
	errs, _ = d.rules.Validate(context.Background(), nil, d.structural, fields, nil, celconfig.RuntimeCELCostBudget)
	return errs
}

// definition compiles a CustomResourceDefinition, once a Read.
func (r *reader) definition(plural string) (*Definition, error) {
	if d := r.definitions[plural]; d != nil {
		return d, nil
	}
	d, err := Compile(plural)
	if err != nil {
		return nil, err
	}
	r.definitions[plural] = d
	return d, nil
}

// Compile reads the CustomResourceDefinition of a resource such as "nodepools".
func Compile(plural string) (*Definition, error) {
	d, err := compile(plural)
	if err != nil {
		return nil, fmt.Errorf("definition of %s: %w", plural, err)
	}
	return d, nil
}

func compile(plural string) (*Definition, error) {
	raw, err := crd.Definition(plural)
	if err != nil {
		return nil, err
	}
	var resource apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(raw, &resource); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(resource.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.GroupVersion.Version
	})
	if i < 0 {
		return nil, fmt.Errorf("it has no version %s", v1alpha1.GroupVersion.Version)
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(resource.Spec.Versions[i].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	validator, _, err := crvalidation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	return &Definition{structural, validator, schemacel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}
