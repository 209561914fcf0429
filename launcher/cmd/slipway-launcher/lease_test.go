package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// record is a lock whose writes take some time, and fail if there is an error.
type record struct {
	resourcelock.Interface
	takes func()
	err   error
}

func (r *record) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	r.takes()
	return r.err
}

func (r *record) Update(ctx context.Context, l resourcelock.LeaderElectionRecord) error {
	return r.Create(ctx, l)
}

// TestLeads: a process leads while the lease that it wrote last cannot have run out yet.
func TestLeads(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := &record{takes: func() { now = now.Add(2 * time.Second) }}
	l := &lease{Interface: r, duration: 15 * time.Second, now: func() time.Time { return now }}
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}
	check := func(when string, leads bool) {
		t.Helper()
		if err := l.Leads(); (err == nil) != leads || err != nil && !errors.Is(err, errLeaseOver) {
			t.Errorf("%s: %v, want it to lead: %v", when, err, leads)
		}
	}
	check("before the lease is held", false)
	if err := l.Create(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	check("once it is held", true)
	now = now.Add(13*time.Second - 1) // 2 s of the lease went by while it was written
	check("just before it runs out", true)
	now = now.Add(1)
	check("when it runs out", false)
	r.err = errors.New("conflict")
	if err := l.Update(t.Context(), mine); !errors.Is(err, r.err) {
		t.Fatal(err)
	}
	check("after it could not be renewed", false)
	r.err = nil
	if err := l.Update(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	check("after it was renewed", true)
	if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil {
		t.Fatal(err)
	}
	check("after it was given back", false)
}
