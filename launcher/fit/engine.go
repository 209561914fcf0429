package fit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// Config is what an Engine is made from; all fields are required.
type Config struct {
	// Profile of the scheduler whose plugins decide, as defaulted by the scheduler's own loader.
	Profile *schedulerconfig.KubeSchedulerProfile
	Client  kubernetes.Interface
	// Informers must be started after NewEngine, and WaitForSync must have returned before the
	// first Plan.
	Informers informers.SharedInformerFactory
	// Plugins the scheduler has beyond the in-tree ones. They answer for themselves at
	// scheduling time and are left out here.
	OutOfTree []string
}

// Engine runs the Filter plugins of one scheduler profile. It is not safe for concurrent
// use: a framework's shared lister holds one simulation at a time.
type Engine struct {
	framework framework.Framework
	lister    *lister
	profile   *schedulerconfig.KubeSchedulerProfile
	filters   sets.Set[string] // names of the Filter plugins
	// resourcesFit is the framework's plugin of that name, for the requests of one size of a
	// class's pods; nil where the profile has none.
	resourcesFit fwk.PreFilterPlugin
	csiNodes     *csiNodes
	devices      *devices      // nil where the feature is off
	devicePlugin *devicePlugin // nil where the profile has none
	informers    informers.SharedInformerFactory
	namespaces   corelisters.NamespaceLister
	now          func() time.Time // ends the search for a cheaper plan
}

// NewEngine builds the scheduler framework of the profile. The context bounds the life
// of its background work.
func NewEngine(ctx context.Context, cfg Config) (*Engine, error) {
	metrics.Register()
	devices, err := newDevices(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l := newLister()
	e := &Engine{
		lister: l, profile: cfg.Profile, filters: sets.New[string](), devices: devices,
		csiNodes:  &csiNodes{CSINodeLister: nodevolumelimits.NewCSIManager(cfg.Informers.Storage().V1().CSINodes().Lister()).CSINodes()},
		informers: cfg.Informers, namespaces: cfg.Informers.Core().V1().Namespaces().Lister(),
		now: time.Now,
	}
	registry := plugins.NewInTreeRegistry()
	newResourcesFit := registry[names.NodeResourcesFit]
	registry[names.NodeResourcesFit] = func(ctx context.Context, args runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
		p, err := newResourcesFit(ctx, args, h)
		e.resourcesFit, _ = p.(fwk.PreFilterPlugin)
		return p, err
	}
	registry[names.DynamicResources] = withDevices(devices, registry[names.DynamicResources], func(p *devicePlugin) { e.devicePlugin = p })
	fw, err := frameworkruntime.NewFramework(ctx, registry, filterOnly(cfg.Profile, cfg.OutOfTree),
		frameworkruntime.WithComponentConfigVersion("kubescheduler.config.k8s.io/v1"),
		frameworkruntime.WithClientSet(cfg.Client),
		frameworkruntime.WithInformerFactory(cfg.Informers),
		frameworkruntime.WithSnapshotSharedLister(l),
		frameworkruntime.WithSharedDRAManager(devices),
		frameworkruntime.WithSharedCSIManager(e.csiNodes),
	)
	if err != nil {
		return nil, fmt.Errorf("scheduler profile %s: %w", cfg.Profile.SchedulerName, err)
	}
	e.framework = fw
	for _, p := range fw.ListPlugins().Filter.Enabled {
		e.filters.Insert(p.Name)
	}
	return e, nil
}

// WaitForSync waits until the plugins know what their informers read first. The error is the
// context's.
func (e *Engine) WaitForSync(ctx context.Context) error {
	if err := e.informers.WaitForCacheSyncWithContext(ctx).Err; err != nil {
		return fmt.Errorf("scheduler profile %s: informers: %w", e.profile.SchedulerName, err)
	}
	if e.devices != nil && !cache.WaitFor(ctx, "", e.devices.synced...) {
		return fmt.Errorf("scheduler profile %s: devices: %w", e.profile.SchedulerName, context.Cause(ctx))
	}
	return nil
}

// namespaceLabels returns what pod affinity's namespace selectors are held against.
func (e *Engine) namespaceLabels(name string) labels.Set {
	ns, err := e.namespaces.Get(name)
	if err != nil {
		return nil // as InterPodAffinity takes it (plugins/interpodaffinity/plugin.go, GetNamespaceLabelsSnapshot)
	}
	return ns.Labels
}

// askedKeys lists the node labels that the profile's arguments and the cluster's volumes name.
func (e *Engine) askedKeys() ([]string, error) {
	keys := e.addedKeys()
	for _, c := range e.profile.PluginConfig {
		if args, ok := c.Args.(*schedulerconfig.PodTopologySpreadArgs); ok {
			for _, c := range args.DefaultConstraints {
				keys = append(keys, c.TopologyKey)
			}
		}
	}
	volumes, err := e.informers.Core().V1().PersistentVolumes().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list persistent volumes: %w", err)
	}
	for _, v := range volumes {
		if v.Spec.NodeAffinity != nil {
			keys = append(keys, selectorKeys(v.Spec.NodeAffinity.Required)...)
		}
	}
	classes, err := e.informers.Storage().V1().StorageClasses().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list storage classes: %w", err)
	}
	for _, c := range classes {
		for _, term := range c.AllowedTopologies {
			for _, r := range term.MatchLabelExpressions {
				keys = append(keys, r.Key)
			}
		}
	}
	return keys, nil
}

// addedKeys lists the node labels that the profile has every pod ask for.
func (e *Engine) addedKeys() (keys []string) {
	for _, c := range e.profile.PluginConfig {
		if args, ok := c.Args.(*schedulerconfig.NodeAffinityArgs); ok && args.AddedAffinity != nil {
			keys = append(keys, selectorKeys(args.AddedAffinity.RequiredDuringSchedulingIgnoredDuringExecution)...)
		}
	}
	return keys
}

// spreadsByDefault tells whether the profile has hard constraints for pods without any.
func (e *Engine) spreadsByDefault() bool {
	return slices.ContainsFunc(e.profile.PluginConfig, func(c schedulerconfig.PluginConfig) bool {
		args, ok := c.Args.(*schedulerconfig.PodTopologySpreadArgs)
		return ok && slices.ContainsFunc(args.DefaultConstraints, func(c corev1.TopologySpreadConstraint) bool { return c.WhenUnsatisfiable == corev1.DoNotSchedule })
	})
}

// ignored tells whether NodeResourcesFit is told to leave an extended resource to an extender.
func (e *Engine) ignored(name corev1.ResourceName) bool {
	group, _, extended := strings.Cut(string(name), "/")
	for _, c := range e.profile.PluginConfig {
		if args, ok := c.Args.(*schedulerconfig.NodeResourcesFitArgs); ok && extended {
			return slices.Contains(args.IgnoredResources, string(name)) || slices.Contains(args.IgnoredResourceGroups, group)
		}
	}
	return false
}

// filterOnly reduces a profile to what decides fit: PreFilter and Filter, and Reserve where it
// only writes to memory and keeps a volume or a device from being given to two claims.
func filterOnly(profile *schedulerconfig.KubeSchedulerProfile, outOfTree []string) *schedulerconfig.KubeSchedulerProfile {
	p := profile.DeepCopy()
	none := schedulerconfig.PluginSet{Disabled: []schedulerconfig.Plugin{{Name: "*"}}}
	p.Plugins.PreEnqueue, p.Plugins.PostFilter = none, none
	p.Plugins.PreScore, p.Plugins.Score = none, none
	p.Plugins.Reserve, p.Plugins.Permit, p.Plugins.PreBind, p.Plugins.PostBind = none, none, none, none
	for _, name := range []string{names.VolumeBinding, names.DynamicResources} {
		if hasPlugin(profile.Plugins.MultiPoint, name) || hasPlugin(profile.Plugins.Reserve, name) {
			p.Plugins.Reserve.Enabled = append(p.Plugins.Reserve.Enabled, schedulerconfig.Plugin{Name: name})
		}
	}
	unwanted := append([]string{names.DefaultPreemption}, outOfTree...)
	for _, set := range []*schedulerconfig.PluginSet{
		&p.Plugins.MultiPoint, &p.Plugins.PreFilter, &p.Plugins.Filter, &p.Plugins.QueueSort, &p.Plugins.Bind,
	} {
		set.Enabled = slices.DeleteFunc(set.Enabled, func(pl schedulerconfig.Plugin) bool { return slices.Contains(unwanted, pl.Name) })
	}
	p.PluginConfig = slices.DeleteFunc(p.PluginConfig, func(c schedulerconfig.PluginConfig) bool { return slices.Contains(unwanted, c.Name) })
	return p
}

func hasPlugin(set schedulerconfig.PluginSet, name string) bool {
	return slices.ContainsFunc(set.Enabled, func(p schedulerconfig.Plugin) bool { return p.Name == name })
}
