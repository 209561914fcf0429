// Package convert owns how Karpenter's objects become Slipway's: NodePools and
// EC2NodeClasses (v1, v1beta1), Provisioners (v1alpha3 to v1alpha5) and AWSNodeTemplates
// (v1alpha1). Nothing is lost in silence: what has no place in a Slipway object is remarked
// upon, with file and line.
//
// A conversion takes out of the source what it understands; what then remains of the
// source, and what the CustomResourceDefinition of the result does not know, is what could
// not be carried over.
package convert

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
)

// Result is what became of the objects.
type Result struct {
	// Objects are Slipway's, in the order of what they were made of; a class that is made
	// along with a pool comes before it.
	Objects []map[string]any
	// Remarks say what could not be carried over.
	Remarks []*input.Error
	// Invalid says why the API server would refuse some of the objects as they are.
	Invalid []*input.Error
	// Ignored counts, by kind, objects that are not Karpenter's.
	Ignored map[string]int
}

// converter makes objects of one kind.
type converter func(*conversion) []map[string]any

// converters by apiVersion and kind. The early Provisioners' group had another name.
var converters = map[metav1.TypeMeta]converter{
	{APIVersion: "karpenter.sh/v1", Kind: "NodePool"}:                       nodePool,
	{APIVersion: "karpenter.sh/v1beta1", Kind: "NodePool"}:                  nodePool,
	{APIVersion: "karpenter.k8s.aws/v1", Kind: "EC2NodeClass"}:              nodeClass,
	{APIVersion: "karpenter.k8s.aws/v1beta1", Kind: "EC2NodeClass"}:         nodeClass,
	{APIVersion: "karpenter.k8s.aws/v1alpha1", Kind: "AWSNodeTemplate"}:     nodeTemplate,
	{APIVersion: "karpenter.sh/v1alpha5", Kind: "Provisioner"}:              provisioner,
	{APIVersion: "karpenter.sh/v1alpha4", Kind: "Provisioner"}:              provisioner,
	{APIVersion: "karpenter.sh/v1alpha3", Kind: "Provisioner"}:              provisioner,
	{APIVersion: "provisioning.karpenter.sh/v1alpha3", Kind: "Provisioner"}: provisioner,
}

// Objects converts objects. The error is that of a CustomResourceDefinition.
func Objects(all []*manifest.Object) (*Result, error) {
	definitions := map[string]*manifest.Definition{}
	for kind, plural := range map[string]string{"NodePool": "nodepools", "EC2NodeClass": "ec2nodeclasses"} {
		var err error
		if definitions[kind], err = manifest.Compile(plural); err != nil {
			return nil, err
		}
	}
	result := &Result{Ignored: map[string]int{}}
	for _, o := range all {
		convert, ok := converters[metav1.TypeMeta{APIVersion: o.APIVersion, Kind: o.Kind}]
		if !ok {
			result.Ignored[o.Kind+" of "+o.APIVersion]++
			continue
		}
		c := &conversion{object: o, source: o.Fields, result: result}
		for _, made := range convert(c) {
			c.finish(made, definitions[made["kind"].(string)])
		}
		c.remarkOnRest()
	}
	return result, nil
}

// conversion is that of one object.
type conversion struct {
	object *manifest.Object
	// source is what has not been carried over yet.
	source map[string]any
	result *Result
}

func (c *conversion) remark(path, why string) {
	c.result.Remarks = append(c.result.Remarks, c.object.At(path, path+": "+why))
}

// takeSpec takes the whole specification.
func (c *conversion) takeSpec() map[string]any {
	if spec, ok := c.source["spec"].(map[string]any); ok {
		delete(c.source, "spec")
		return spec
	}
	return map[string]any{}
}

// made returns an object with the name, labels and annotations of the source.
func (c *conversion) made(kind string, spec map[string]any) map[string]any {
	metadata := map[string]any{"name": get(c.source, "metadata", "name")}
	for _, key := range []string{"labels", "annotations"} {
		if kept := c.keys(get(c.source, "metadata", key)); len(kept) > 0 {
			metadata[key] = kept
		}
	}
	return map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "metadata": metadata, "spec": spec}
}

// finish removes what the definition does not know, and checks the rest.
func (c *conversion) finish(made map[string]any, definition *manifest.Definition) {
	for _, path := range definition.Prune(made) {
		c.remark(path, "Slipway has no such field")
	}
	within := ""
	if made["kind"] != c.object.Kind {
		within = fmt.Sprintf("as %s: ", made["kind"])
	}
	c.result.Objects = append(c.result.Objects, made)
	// Validation fills in defaults, which are not the user's.
	for _, e := range definition.Validate(runtime.DeepCopyJSON(made)) {
		c.result.Invalid = append(c.result.Invalid, c.object.At(e.Field, within+e.Error()))
	}
}

// remarkOnRest lists what no conversion has taken.
func (c *conversion) remarkOnRest() {
	for _, own := range []string{"apiVersion", "kind", "metadata", "status"} { // metadata is read by made
		delete(c.source, own)
	}
	for _, path := range leaves("", c.source) {
		c.remark(path, "is not carried over")
	}
}

// leaves lists the fields that hold something. A list counts as one.
func leaves(path string, value any) (all []string) {
	m, ok := value.(map[string]any)
	if !ok {
		return []string{path}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		below := key
		if path != "" {
			below = path + "." + key
		}
		all = append(all, leaves(below, m[key])...)
	}
	return all
}

// get returns a field without taking it; nil where there is none.
func get(from map[string]any, path ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(from, path...) // around it is something of the wrong type
	return value
}

// take removes a field and returns it; nil where there is none.
func take(from map[string]any, path ...string) any {
	value := get(from, path...)
	unstructured.RemoveNestedField(from, path...)
	return value
}

// put sets a field unless the value is nil. Where something of the wrong type is around it,
// it is left to validation to say so.
func put(into map[string]any, value any, path ...string) {
	if value != nil {
		_ = unstructured.SetNestedField(into, value, path...)
	}
}

// seconds writes a number of seconds as a duration, such as 30s.
func seconds(value any) any {
	if value == nil {
		return nil
	}
	return fmt.Sprintf("%vs", value)
}
