package v1alpha1_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestBudgetHoldsAt(t *testing.T) {
	const hour = time.Hour
	for _, tt := range []struct {
		name     string
		schedule string
		duration time.Duration
		at       string // RFC 3339
		want     bool
	}{
		{"before it begins", "0 9 * * *", 8 * hour, "2026-11-23T08:59:59Z", false},
		{"as it begins", "0 9 * * *", 8 * hour, "2026-11-23T09:00:00Z", true},
		{"a moment after it began", "0 9 * * *", 8 * hour, "2026-11-23T09:00:00.001Z", true},
		{"a moment before it ends", "0 9 * * *", 8 * hour, "2026-11-23T16:59:59.999Z", true},
		{"as it ends", "0 9 * * *", 8 * hour, "2026-11-23T17:00:00Z", false},
		{"in UTC, wherever we are", "0 9 * * *", hour, "2026-11-23T10:30:00+01:00", true},
		{"not in our time zone", "0 9 * * *", hour, "2026-11-23T09:30:00+01:00", false},
		{"past midnight", "0 22 * * *", 4 * hour, "2026-11-24T01:00:00Z", true},
		{"workdays, on a Monday", "0 0 * * mon-fri", 24 * hour, "2026-11-23T12:00:00Z", true},
		{"workdays, on a Sunday", "0 0 * * mon-fri", 24 * hour, "2026-11-22T12:00:00Z", false},
		{"workdays, until Saturday begins", "0 0 * * mon-fri", 24 * hour, "2026-11-21T00:00:00Z", false},
		{"begins anew before it ends", "0 * * * *", 90 * time.Minute, "2026-11-23T12:59:00Z", true},
		{"longer than a week", "@weekly", 200 * hour, "2026-11-25T12:00:00Z", true},
		{"@daily", "@daily", 10 * time.Minute, "2026-11-23T00:09:00Z", true},
		{"@daily, over", "@daily", 10 * time.Minute, "2026-11-23T00:10:00Z", false},
		{"leap day", "0 0 29 2 *", 24 * hour, "2028-02-29T12:00:00Z", true},
		{"a day that never comes", "0 0 30 2 *", 24 * hour, "2026-11-23T12:00:00Z", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339Nano, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			b := v1alpha1.Budget{Schedule: &tt.schedule, Duration: &metav1.Duration{Duration: tt.duration}}
			if got, err := b.HoldsAt(at); err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestBudgetWithoutScheduleHolds(t *testing.T) {
	if holds, err := (v1alpha1.Budget{}).HoldsAt(time.Time{}); err != nil || !holds {
		t.Errorf("got %v, %v", holds, err)
	}
}

func TestInvalidSchedule(t *testing.T) {
	hour := &metav1.Duration{Duration: time.Hour}
	for _, tt := range []struct {
		name   string
		budget v1alpha1.Budget
	}{
		{"no duration", v1alpha1.Budget{Schedule: new("@daily")}},
		{"no schedule", v1alpha1.Budget{Duration: hour}},
		{"no such minute", v1alpha1.Budget{Schedule: new("60 * * * *"), Duration: hour}},
		{"backwards", v1alpha1.Budget{Schedule: new("0 17-9 * * *"), Duration: hour}},
		{"seconds", v1alpha1.Budget{Schedule: new("0 0 9 * * *"), Duration: hour}},
		{"interval", v1alpha1.Budget{Schedule: new("@every 1h"), Duration: hour}},
		{"time zone", v1alpha1.Budget{Schedule: new("TZ=Asia/Tokyo 0 9 * * *"), Duration: hour}},
		{"half a time zone", v1alpha1.Budget{Schedule: new("TZ=0"), Duration: hour}},
		{"empty", v1alpha1.Budget{Schedule: new(""), Duration: hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if holds, err := tt.budget.HoldsAt(time.Now()); holds || !errors.Is(err, v1alpha1.ErrInvalidSchedule) {
				t.Errorf("got %v, %v", holds, err)
			}
		})
	}
}
