package config

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
)

// AddToScheme registers SlipwayArgs in a scheme of the scheduler's configuration, as
// version v1 and as the internal version. The two are one Go type, so that converting
// between them changes nothing.
//
// The scheduler has two such schemes and needs the type in both before a configuration
// is read: k8s.io/kubernetes/pkg/scheduler/apis/config/scheme.Scheme decodes the
// arguments, .../apis/config/v1.GetPluginArgConversionScheme() defaults and converts
// them. Without it the arguments would be read leniently (see PluginConfig in
// k8s.io/kube-scheduler/config/v1/types.go).
func AddToScheme(scheme *runtime.Scheme) error {
	v1 := kubeschedulerv1.SchemeGroupVersion
	internal := schema.GroupVersion{Group: v1.Group, Version: runtime.APIVersionInternal}
	for _, gv := range []schema.GroupVersion{v1, internal} {
		scheme.AddKnownTypes(gv, &SlipwayArgs{})
	}
	scheme.AddTypeDefaultingFunc(&SlipwayArgs{}, func(obj any) {
		SetDefaults(obj.(*SlipwayArgs))
	})
	return nil
}

// FromObject returns the arguments that the scheduler hands to the plugin's factory.
func FromObject(obj runtime.Object) (*SlipwayArgs, error) {
	args, ok := obj.(*SlipwayArgs)
	if !ok {
		return nil, fmt.Errorf("want args of type SlipwayArgs, got %T: is a pluginConfig named Slipway present?", obj)
	}
	return args, nil
}
