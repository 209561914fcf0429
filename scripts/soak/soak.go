// Package soak wears a whole Slipway out: for a while it creates, scales and deletes
// workloads at random while daemons are killed and EC2 fails, then it leaves everything
// alone and checks that what is there is what should be.
//
//	noise    workloads, EC2's faults, nodes lost; at first daemons are killed, too, each of
//	         which has a standby. In the second half their memory is watched
//	quiet    faults end; all pods that are wanted must run, each claim must have its
//	         instance, each instance its claim
//	empty    workloads end; nothing may be left
//
// At any time a claim must have bought one instance at most.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/simkubelet"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// Config says how to soak.
type Config struct {
	// Stack is what to start; some of it is set here.
	Stack stack.Config
	// Duration of the noise.
	Duration time.Duration
	// Seed of what is random. The same one gives the same plan, not the same interleaving.
	Seed uint64
}

// Validate checks a configuration.
func (c Config) Validate() error {
	if c.Duration < 10*time.Second || c.Duration > time.Hour {
		return fmt.Errorf("a soak takes between 10 seconds and an hour, not %s", c.Duration)
	}
	return nil
}

const (
	// quietWithin is what the slowest recovery takes: patience with a pod doubles up to five
	// minutes when its nodes do not register.
	quietWithin = 7 * time.Minute
	// emptyWithin is for the emptiness TTL, the ends of instances, and what faults hold up.
	emptyWithin   = 3 * time.Minute
	readyWithin   = time.Minute
	emptyTTL      = 5 * time.Second
	lookEvery     = time.Second
	progressEvery = 10 * time.Second
	// killUntil is the share of the noise in which daemons are killed.
	killUntil = 0.4
	// callTimeout bounds a call to the API server.
	callTimeout = 10 * time.Second
)

// soak is a run under way.
type soak struct {
	*stack.Stack
	cfg     Config
	out     io.Writer
	rnd     *rand.Rand
	began   time.Time
	daemons *daemons
	losses  *losses
	meter   *meter
	// observer sees every claim there ever was.
	observer *observe.Observer
	report   *Report
	// wanted are the replicas of each Deployment.
	wanted map[string]int32
	seq    int
	calm   time.Time            // when the fault in force ends
	scarce *simec2.CapacityRule // that is in force
}

// Run starts a stack, soaks it and stops it. The report holds what was found; the error is
// that of the soak itself.
func Run(ctx context.Context, cfg Config, out io.Writer) (report *Report, err error) {
	report = newReport(cfg)
	if err := cfg.Validate(); err != nil {
		return report, err
	}
	router, err := newRouter()
	if err != nil {
		return report, err
	}
	s := &soak{
		cfg: cfg, out: out, report: report, wanted: map[string]int32{}, losses: &losses{},
		rnd: rand.New(rand.NewPCG(cfg.Seed, 1)), //nolint:gosec // G404: to be repeatable
	}
	if s.Stack, err = stack.Start(ctx, s.stack(router)); err != nil {
		return report, errors.Join(err, router.Close())
	}
	defer func() { err = errors.Join(err, router.Close(), s.Stop()) }()
	if s.daemons, err = startDaemons(ctx, s.Stack, router); err != nil {
		return report, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.observer, err = observe.Start(ctx, &wg, observe.Config{
		REST: s.Cluster.RESTConfig(), Scheme: s.Client.Scheme(), Namespace: stack.Namespace,
	}); err != nil {
		return report, err
	}
	s.meter = newMeter(s.daemons)
	wg.Go(func() { s.meter.run(ctx) })
	if err := s.run(ctx); err != nil {
		return report, err
	}
	return report, report.findPanics(s.Logs())
}

// stack has faults be noticed soon, and scheduler and launchers find each other.
func (s *soak) stack(router *router) stack.Config {
	c := s.cfg.Stack
	c.Sim.Seed = s.cfg.Seed
	c.Sim.TerminatedRetention = 2 * time.Hour // all that was ever bought is counted in the end
	c.Via = func(address string) string {
		router.add(address)
		return router.Address()
	}
	c.Launcher = func(l *launcherconfig.Config) {
		l.NodeClaims.RegistrationTimeout = metav1.Duration{Duration: 15 * time.Second}
		l.NodeClaims.CollectEvery = metav1.Duration{Duration: 5 * time.Second}
		l.UnavailableFor = metav1.Duration{Duration: 10 * time.Second}
	}
	c.Kubelets = func(k *simkubelet.Config) { k.Register = s.losses.register }
	return c
}

func (s *soak) run(ctx context.Context) error {
	pool := stack.NodePool("soak", emptyTTL,
		v1alpha1.Requirement{Key: v1alpha1.LabelInstanceCategory, Operator: v1alpha1.OpIn, Values: []string{"c", "m", "r", "t"}},
		v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{simec2.OnDemand, simec2.Spot}},
	)
	if err := s.Client.Create(ctx, pool); err != nil {
		return err
	}
	s.began = time.Now()
	if err := s.until(ctx, readyWithin, func(ctx context.Context) []string {
		if s.PoolReady(ctx, pool.Name) {
			return nil
		}
		return []string{"the NodePool is not ready"}
	}, nil); err != nil {
		return err
	}
	s.say("noise for %s, seed %d", s.cfg.Duration, s.cfg.Seed)
	if err := s.noise(ctx); err != nil {
		return err
	}
	if err := s.endFaults(); err != nil {
		return err
	}
	s.say("quiet")
	began := time.Now()
	if err := s.until(ctx, quietWithin, s.unsettled, &s.report.Stuck); err != nil {
		return err
	}
	s.report.QuietAfterSeconds = time.Since(began).Seconds()
	s.say("all is settled after %s", time.Since(began).Round(100*time.Millisecond))
	if err := s.deleteAll(ctx); err != nil {
		return err
	}
	began = time.Now()
	if err := s.until(ctx, emptyWithin, s.left, &s.report.Leaked); err != nil {
		return err
	}
	s.report.EmptyAfterSeconds = time.Since(began).Seconds()
	s.report.finish(s)
	return nil
}

// until waits until nothing is wrong any more, with the daemons kept up. What is wrong at
// the end of the time is noted as violations; without violations to note it is an error.
func (s *soak) until(ctx context.Context, within time.Duration, wrong func(context.Context) []string, violations *[]string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deadline := time.Now().Add(within)
	for next := time.Now(); ; {
		s.daemons.keepUp(ctx)
		all := wrong(ctx)
		switch {
		case len(all) == 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline) && violations != nil:
			*violations = append(*violations, all...)
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("not within %s: %s", within, all[0])
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(progressEvery)
			s.progress(ctx, fmt.Sprintf("%d things are not settled, such as: %s", len(all), all[0]))
		}
		if !sleep(ctx, lookEvery) {
			return context.Cause(ctx)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *soak) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6s  "+format+"\n", append([]any{time.Since(s.began).Round(time.Second)}, args...)...) //nolint:errcheck // a terminal
}

func (s *soak) progress(ctx context.Context, what string) {
	now, err := s.look(ctx)
	if err != nil {
		s.say("%s; the API server says: %v", what, err)
		return
	}
	s.say("%d of %d pods run, %d claims, %d nodes, %d instances, %s; %s", now.running(), now.total(), len(now.claims), len(now.nodes), len(now.alive()), s.meter.now(), what)
}
