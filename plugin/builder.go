package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/config"
)

// firstSync is how long a scheduler that begins to lead waits for the launcher to tell
// which room is promised. Without the launcher it then schedules what fits.
const firstSync = 5 * time.Second

// Builder makes the plugin and ties it to the scheduler. The zero value is ready to use.
type Builder struct {
	mu     sync.Mutex
	plugin *Slipway
}

// New is the plugin's factory. The scheduler calls it for each profile that enables the
// plugin, before it runs; all get the same one. It fails on arguments that are not valid
// or do not go together, and if the certificates cannot be read.
func (b *Builder) New(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.add(ctx, obj, handle); err != nil {
		return nil, fmt.Errorf("plugin %s: profile %s: %w", Name, handle.ProfileName(), err)
	}
	return b.plugin, nil
}

func (b *Builder) add(ctx context.Context, obj runtime.Object, handle fwk.Handle) error {
	args, err := config.FromObject(obj)
	if err != nil {
		return err
	}
	path := field.NewPath("args")
	if err := config.Validate(path, args); err != nil {
		return err
	}
	if b.plugin == nil {
		b.plugin, err = start(ctx, args, handle)
		return err
	}
	if err := config.ValidateShared(path, args, b.plugin.args); err != nil {
		return err
	}
	b.plugin.join(args, handle)
	return nil
}

// Attach prepares a scheduler, before it runs, for what plugins are not asked about: that
// it begins to schedule, that there is no node, which pods were refused before, and what is
// told of a failed attempt. The error is that of a plugin that does not say when to look at its pods again.
func (b *Builder) Attach(sched *scheduler.Scheduler) error {
	b.mu.Lock()
	p := b.plugin
	b.mu.Unlock()
	if p == nil {
		return nil
	}
	for name, f := range sched.Profiles {
		if !enabled(f) {
			p.logger.Info("This profile does not enable the plugin: its pods may take room that is promised to others", "profile", name)
		}
	}
	sched.Cache = nodes{Cache: sched.Cache, plugin: p}
	m, err := p.newMemory(sched)
	if err != nil {
		return fmt.Errorf("plugin %s: %w", Name, err)
	}
	sched.SchedulePod = withoutNodes(sched.SchedulePod)
	if m != nil {
		sched.SchedulePod = p.remembering(m, sched.SchedulePod)
	}
	sched.FailureHandler = p.explaining(sched.FailureHandler)
	nextPod := sched.NextPod
	var once sync.Once
	sched.NextPod = func(logger klog.Logger) (*framework.QueuedPodInfo, error) {
		once.Do(func() { p.begin(sched.StopEverything) })
		info, err := nextPod(logger)
		if m != nil {
			m.Begin()
		}
		return info, err
	}
	return nil
}

// begin is called when the scheduler is about to schedule its first pod.
func (p *Slipway) begin(stop <-chan struct{}) {
	timer := p.clock.NewTimer(firstSync)
	defer timer.Stop()
	select {
	case <-p.synced:
	case <-stop:
	case <-timer.C():
		p.logger.Info("The launcher was not reached; room it has promised is not known yet", "waited", firstSync)
	}
	p.lead()
}

type schedulePod = func(context.Context, framework.Framework, fwk.CycleState, *framework.QueuedPodInfo) (scheduler.ScheduleResult, error)

// withoutNodes has PostFilter run in a cluster that has no node. The scheduler takes that
// for an error of its own (schedule_one.go:272), upon which no plugin is called.
func withoutNodes(next schedulePod) schedulePod {
	return func(ctx context.Context, f framework.Framework, state fwk.CycleState, info *framework.QueuedPodInfo) (scheduler.ScheduleResult, error) {
		result, err := next(ctx, f, state, info)
		if !errors.Is(err, scheduler.ErrNoNodesAvailable) || !enabled(f) {
			return result, err
		}
		return result, &framework.FitError{
			Pod: info.Pod,
			Diagnosis: framework.Diagnosis{
				NodeToStatus:         framework.NewDefaultNodeToStatus(),
				UnschedulablePlugins: sets.New(Name),
			},
		}
	}
}

func enabled(f framework.Framework) bool {
	return slices.ContainsFunc(f.ListPlugins().PostFilter.Enabled, func(p schedulerconfig.Plugin) bool { return p.Name == Name })
}
