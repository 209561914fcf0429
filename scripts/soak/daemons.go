package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// daemons are two launchers and two schedulers, of each of which one leads.
type daemons struct {
	mu  sync.Mutex
	all []*daemon
}

type daemon struct {
	name    string
	process **devcluster.Process
	started time.Time
	// downUntil is when one that has ended is started again.
	downUntil time.Time
	killed    bool
	// ends counts the times that it ended by itself, as upon losing its lease.
	ends int
}

// startDaemons starts the standbys.
func startDaemons(ctx context.Context, s *stack.Stack, router *router) (*daemons, error) {
	if err := router.trust(s.Certs); err != nil {
		return nil, err
	}
	address, err := s.StandbyLauncher(ctx)
	if err != nil {
		return nil, err
	}
	router.add(address)
	if _, err := s.StandbyScheduler(ctx); err != nil {
		return nil, err
	}
	now := time.Now()
	return &daemons{all: []*daemon{
		{name: "launcher", process: &s.Launcher, started: now},
		{name: "launcher-standby", process: &s.Standbys[0], started: now},
		{name: "scheduler", process: &s.Scheduler, started: now},
		{name: "scheduler-standby", process: &s.Standbys[1], started: now},
	}}, nil
}

// kill ends one of them without warning, and says which.
func (d *daemons) kill(rnd *rand.Rand) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	victim := d.all[rnd.IntN(len(d.all))]
	down := time.Duration(rnd.IntN(6)) * time.Second
	victim.killed, victim.downUntil = true, time.Now().Add(down)
	(*victim.process).Kill()
	return fmt.Sprintf("%s, for %s", victim.name, down)
}

// keepUp starts again what has ended, as the kubelet would.
func (d *daemons) keepUp(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.all {
		select {
		case <-(*one.process).Done():
		default:
			continue
		}
		if time.Now().Before(one.downUntil) {
			continue
		}
		if !one.killed {
			one.ends++
		}
		// An error is tried again at the next look.
		if next, err := (*one.process).Restart(ctx); err == nil {
			*one.process, one.started, one.killed = next, time.Now(), false
		}
	}
}

// each calls f with those that run.
func (d *daemons) each(f func(name string, pid int, started time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.all {
		select {
		case <-(*one.process).Done():
		default:
			f(one.name, (*one.process).PID(), one.started)
		}
	}
}

// endedThemselves counts, by daemon.
func (d *daemons) endedThemselves() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := map[string]int{}
	for _, one := range d.all {
		n[one.name] = one.ends
	}
	return n
}
