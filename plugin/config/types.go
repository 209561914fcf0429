// Package config owns SlipwayArgs, the arguments of the Slipway scheduler plugin: their
// type, defaults and validation.
package config

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// SlipwayArgs configures the Slipway plugin. In a KubeSchedulerConfiguration it is the
// args of the pluginConfig named Slipway. Where several profiles enable the plugin, order,
// orderByPriorityClass and launchDelay are each profile's own; all else must be the same.
type SlipwayArgs struct {
	metav1.TypeMeta `json:",inline"`

	// LauncherAddress is where the launcher serves, as a gRPC target; for several
	// replicas a name that resolves to all of them, such as
	// dns:///slipway-launcher.slipway-system:9443. Required.
	LauncherAddress string `json:"launcherAddress"`
	// TLS is how the two sides know each other. Required.
	TLS TLS `json:"tls"`
	// Order says what is tried first for a pod that fits nowhere. Default LaunchFirst.
	Order Order `json:"order,omitempty"`
	// OrderByPriorityClass overrides Order for pods of these PriorityClasses, by name.
	OrderByPriorityClass map[string]Order `json:"orderByPriorityClass,omitempty"`
	// LaunchDelay is how long, from its creation, a pod waits for room before a node is
	// launched for it. The annotation slipway.dev/launch-delay overrides it. Default 0s.
	LaunchDelay metav1.Duration `json:"launchDelay,omitzero"`
	// RequestTimeout bounds each call to the launcher. Default 10s.
	RequestTimeout metav1.Duration `json:"requestTimeout,omitzero"`
	// TTL bounds how long a pod may wait for the launcher's and the node's next step.
	TTL TTL `json:"ttl,omitzero"`
}

// TLS names the files of the client's certificate and of what it trusts. They are read
// again when they change.
type TLS struct {
	// CertFile and KeyFile are the scheduler's certificate and key, in PEM. Required.
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// CAFile holds the authorities that may sign the launcher's certificate. Required.
	CAFile string `json:"caFile"`
	// ServerName is the name in the launcher's certificate, if it is not the host of
	// LauncherAddress.
	ServerName string `json:"serverName,omitempty"`
}

// TTL says how long a reservation may stay in a state without progress.
type TTL struct {
	// Waiting is how long a pod waits for the launcher to confirm that it has it; then
	// the pod is tried again. Default 60s.
	Waiting metav1.Duration `json:"waiting,omitzero"`
	// Planned is how long a NodeClaim may stay without an instance before its pods are
	// tried again. Default 60s.
	Planned metav1.Duration `json:"planned,omitzero"`
	// Launched is how long a node may take to become ready before its pods' reservations
	// are released. Default 20m.
	Launched metav1.Duration `json:"launched,omitzero"`
	// Ready is how long a pod may fail to bind to its ready node before its reservation
	// is released. Default 2m.
	Ready metav1.Duration `json:"ready,omitzero"`
	// Refused is how long a pod that the launcher refused is not handed over again.
	// Default 5m.
	Refused metav1.Duration `json:"refused,omitzero"`
}

// Order says what is tried first for a pod that fits nowhere.
type Order string

// The orders.
const (
	// LaunchFirst launches a node before other pods are preempted; preemption is left for
	// the pods that no node can be launched for.
	LaunchFirst Order = "LaunchFirst"
	// PreemptFirst launches a node only for pods that can preempt no others.
	PreemptFirst Order = "PreemptFirst"
	// NeverLaunch launches no node: pods wait for room, or preempt.
	NeverLaunch Order = "NeverLaunch"
)

// SetDefaults fills in what was left out.
func SetDefaults(args *SlipwayArgs) {
	if args.Order == "" {
		args.Order = LaunchFirst
	}
	for _, d := range []struct {
		field *metav1.Duration
		value time.Duration
	}{
		{&args.RequestTimeout, 10 * time.Second},
		{&args.TTL.Waiting, time.Minute},
		{&args.TTL.Planned, time.Minute},
		{&args.TTL.Launched, 20 * time.Minute},
		{&args.TTL.Ready, 2 * time.Minute},
		{&args.TTL.Refused, 5 * time.Minute},
	} {
		if d.field.Duration == 0 {
			d.field.Duration = d.value
		}
	}
}

// DeepCopyObject implements runtime.Object.
func (args *SlipwayArgs) DeepCopyObject() runtime.Object {
	if args == nil {
		return nil
	}
	out := *args
	out.OrderByPriorityClass = maps.Clone(args.OrderByPriorityClass)
	return &out
}
