package plugin

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	configv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"

	"github.com/slipway-dev/slipway/plugin/config"
)

// SchedulerName is the profile that tests schedule with.
const SchedulerName = "slipway-scheduler"

// ShippedProfiles returns the default profile with the plugin as it is shipped.
func ShippedProfiles(t testing.TB, args *config.SlipwayArgs) []schedulerconfig.KubeSchedulerProfile {
	t.Helper()
	if err := config.AddToScheme(configv1.GetPluginArgConversionScheme()); err != nil {
		t.Fatal(err)
	}
	versioned := &kubeschedulerv1.KubeSchedulerConfiguration{Profiles: []kubeschedulerv1.KubeSchedulerProfile{{
		SchedulerName: new(SchedulerName),
		Plugins: &kubeschedulerv1.Plugins{
			MultiPoint: kubeschedulerv1.PluginSet{Enabled: []kubeschedulerv1.Plugin{{Name: Name}}},
			PostFilter: kubeschedulerv1.PluginSet{
				Disabled: []kubeschedulerv1.Plugin{{Name: "*"}},
				Enabled:  []kubeschedulerv1.Plugin{{Name: Name}, {Name: "DefaultPreemption"}},
			},
		},
		PluginConfig: []kubeschedulerv1.PluginConfig{{Name: Name, Args: runtime.RawExtension{Object: args}}},
	}}}
	scheme.Scheme.Default(versioned)
	internal := &schedulerconfig.KubeSchedulerConfiguration{}
	if err := scheme.Scheme.Convert(versioned, internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal.Profiles
}

// Reservations returns how many reservations the plugin's ledger holds.
func (b *Builder) Reservations() int { return len(b.plugin.ledger.Pods()) }

// GateClosed reports whether a pod waits behind the gate.
func (b *Builder) GateClosed(pod types.UID) bool {
	r, ok := b.plugin.ledger.Get(pod)
	return ok && r.GateClosed()
}
