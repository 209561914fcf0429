package v1alpha1

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ErrInvalidSchedule is wrapped by errors about a budget whose times cannot be told. The
// CRD's validation lets through some that name a time there is not, such as minute 60.
var ErrInvalidSchedule = errors.New("invalid schedule")

// HoldsAt tells whether the budget holds at a time: always, or from each of its schedule's
// times, in UTC, until its duration is over.
func (b Budget) HoldsAt(now time.Time) (bool, error) {
	if b.Schedule == nil && b.Duration == nil {
		return true, nil
	}
	if b.Schedule == nil || b.Duration == nil {
		return false, fmt.Errorf("%w: schedule and duration belong together", ErrInvalidSchedule)
	}
	// The parser knows time zones (and panics at some that there are not) and intervals,
	// which begin whenever they are asked about.
	if strings.Contains(*b.Schedule, "=") || strings.HasPrefix(*b.Schedule, "@every") {
		return false, fmt.Errorf("%w: %q has a time zone or an interval", ErrInvalidSchedule, *b.Schedule)
	}
	schedule, err := cron.ParseStandard(*b.Schedule)
	if err != nil {
		return false, fmt.Errorf("%w: %q: %w", ErrInvalidSchedule, *b.Schedule, err)
	}
	now = now.UTC()
	began := schedule.Next(now.Add(-b.Duration.Duration)) // zero for a day that never comes
	return !began.IsZero() && !began.After(now), nil
}
