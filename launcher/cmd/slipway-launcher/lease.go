package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/slipway-dev/slipway/launcher/config"
)

// errLeaseOver says that this process may have a successor already.
var errLeaseOver = errors.New("the lease of the leader is over")

// lease is the lock of the leader election, which also knows until when this process leads
// for sure. One that was stopped, starved or suspended wakes up in the middle of what it was
// about, before the election notices that it was lost.
type lease struct {
	resourcelock.Interface
	duration time.Duration
	now      func() time.Time

	mu    sync.Mutex
	until time.Time
}

// newLease returns the lock that the configuration names.
func newLease(cfg *config.Config, restConfig *rest.Config) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	// One request that hangs must not cost the lease.
	election := rest.AddUserAgent(restConfig, "leader-election")
	election.Timeout = max(cfg.LeaderElection.RenewDeadline.Duration/2, time.Second)
	client, err := kubernetes.NewForConfig(election)
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	return &lease{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: cfg.LeaderElection.Namespace, Name: cfg.LeaderElection.Name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		duration: cfg.LeaderElection.LeaseDuration.Duration, now: time.Now,
	}, nil
}

// Create implements resourcelock.Interface.
func (l *lease) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(r, func() error { return l.Interface.Create(ctx, r) })
}

// Update implements resourcelock.Interface.
func (l *lease) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(r, func() error { return l.Interface.Update(ctx, r) })
}

// write notes how long the lease is held if do, which writes it, succeeds. Others count its
// duration from when they see it, which is later than when the writing began.
func (l *lease) write(r resourcelock.LeaderElectionRecord, do func() error) error {
	until := l.now().Add(l.duration)
	if r.HolderIdentity == "" { // given back
		until = time.Time{}
	}
	err := do()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.until = until
	}
	return err
}

// Leads returns errLeaseOver unless no other process can lead yet. Time that the machine
// was suspended for shows on the wall clock only.
func (l *lease) Leads() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Before(l.until) && now.Round(0).Before(l.until.Round(0)) {
		return nil
	}
	return fmt.Errorf("%w since %s", errLeaseOver, l.until.Format(time.RFC3339Nano))
}
