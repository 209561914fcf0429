package stack

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/scripts/devcluster"
)

// RestartLauncher starts slipway-launcher again as it was: same configuration, same
// address. One that still runs is stopped first.
func (s *Stack) RestartLauncher(ctx context.Context) error { return restart(ctx, &s.Launcher) }

// RestartScheduler starts slipway-scheduler again as it was.
func (s *Stack) RestartScheduler(ctx context.Context) error { return restart(ctx, &s.Scheduler) }

// Revive starts the daemons again that have ended, as the kubelet would. A daemon ends by
// itself when it can no longer renew its lease.
func (s *Stack) Revive(ctx context.Context) error {
	var errs []error
	for _, p := range []**devcluster.Process{&s.Launcher, &s.Scheduler} {
		select {
		case <-(*p).Done():
			errs = append(errs, restart(ctx, p))
		default:
		}
	}
	return errors.Join(errs...)
}

func restart(ctx context.Context, p **devcluster.Process) error {
	next, err := (*p).Restart(ctx)
	if err != nil {
		return err
	}
	*p = next
	return nil
}
