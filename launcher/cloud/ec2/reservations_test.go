package ec2_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

func reserved(id string) v1alpha1.AcceptedOffering {
	o := accepted("m5.large", "us-east-1a", v1alpha1.CapacityTypeReserved, "0.096")
	o.ReservationID = id
	return o
}

func reserving(terms ...v1alpha1.CapacityReservationSelectorTerm) *v1alpha1.EC2NodeClass {
	return newClass(v1alpha1.EC2NodeClassSpec{CapacityReservationSelectorTerms: terms})
}

func m5Reservation(id string, n int) simec2.CapacityReservation {
	return simec2.CapacityReservation{ID: id, InstanceType: "m5.large", Zone: "us-east-1a", Instances: n}
}

func TestFindReservations(t *testing.T) {
	open, tagged, ended, foreign := m5Reservation("cr-open", 3), m5Reservation("cr-tagged", 2), m5Reservation("cr-ended", 1), m5Reservation("cr-foreign", 1)
	open.Match, tagged.Tags = "open", map[string]string{"team": "blue"}
	ended.EndDate, foreign.OwnerID, foreign.Tags = time.Now().Add(-time.Hour), "444455556666", tagged.Tags
	s := startEC2(t, simec2.Config{Unthrottled: true, Reservations: []simec2.CapacityReservation{open, tagged, ended, foreign}})
	type term = v1alpha1.CapacityReservationSelectorTerm
	for _, tt := range []struct {
		name   string
		terms  []term
		want   []string
		reason string // of the condition
	}{
		{name: "none asked for"},
		{"by id, twice", []term{{ID: "cr-open"}, {ID: "cr-open"}}, []string{"cr-open"}, "Resolved"},
		{"by tag", []term{{Tags: map[string]string{"team": "blue"}}}, []string{"cr-foreign", "cr-tagged"}, "Resolved"},
		{"by tag and owner", []term{{Tags: map[string]string{"team": "*"}, OwnerID: "111122223333"}}, []string{"cr-tagged"}, "Resolved"},
		{"by match criteria, or id", []term{{InstanceMatchCriteria: "open"}, {ID: "cr-tagged"}}, []string{"cr-open", "cr-tagged"}, "Resolved"},
		{"ended", []term{{ID: "cr-ended"}}, nil, "NoneActive"},
		{"unknown", []term{{ID: "cr-unknown"}}, nil, "NoneActive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, err := newProvider(t, s).Resolve(t.Context(), reserving(tt.terms...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range status.CapacityReservations {
				got = append(got, r.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reservations (-want +got):\n%s", diff)
			}
			reason := ""
			if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReservationsReady); c != nil {
				reason = c.Reason
			}
			if reason != tt.reason {
				t.Errorf("reason %q, want %q", reason, tt.reason)
			}
		})
	}
}

// TestReservedOfferings: with the count, and not where it ends too soon.
func TestReservedOfferings(t *testing.T) {
	full, ending := m5Reservation("cr-full", 0), m5Reservation("cr-ending", 1)
	ending.Type, ending.EndDate = simec2.ReservationBlock, time.Now().Add(20*time.Minute)
	s := startEC2(t, simec2.Config{Unthrottled: true, Reservations: []simec2.CapacityReservation{m5Reservation("cr-1", 2), full, ending}})
	class := reserving(v1alpha1.CapacityReservationSelectorTerm{InstanceMatchCriteria: "targeted"})
	types, err := newProvider(t, s).Types(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, typ := range types {
		for _, o := range typ.Offerings {
			if o.Reservation == nil {
				continue
			}
			if got[o.Reservation.ID] = o.Available; typ.Name != "m5.large" || o.Zone != "us-east-1a" || o.CapacityType != "reserved" || o.Price != 0.096 {
				t.Errorf("%s: %+v", typ.Name, o)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"cr-1": true, "cr-full": false, "cr-ending": false}, got); diff != "" {
		t.Errorf("available (-want +got):\n%s", diff)
	}
}

// TestLaunchIntoReservation: into the one asked for, until it is full, then it alone is
// unavailable; what is not asked for one stays out of open ones.
func TestLaunchIntoReservation(t *testing.T) {
	block, open := m5Reservation("cr-block", 1), m5Reservation("cr-open", 1)
	block.Type, block.EndDate, open.Match = simec2.ReservationBlock, time.Now().Add(24*time.Hour), "open"
	for _, tt := range []struct {
		name        string
		reservation simec2.CapacityReservation
	}{{"targeted", m5Reservation("cr-1", 1)}, {"block", block}, {"open", open}} {
		t.Run(tt.name, func(t *testing.T) {
			id := tt.reservation.ID
			s := startEC2(t, simec2.Config{Unthrottled: true, ReadLag: new(time.Duration(0)), Reservations: []simec2.CapacityReservation{tt.reservation}})
			p, class := newProvider(t, s), reserving(v1alpha1.CapacityReservationSelectorTerm{ID: id})

			if _, err := p.Launch(t.Context(), newClaim(m5), class); err != nil {
				t.Fatal(err)
			}
			if in := s.Instances()[0]; in.CapacityReservationID != "" {
				t.Errorf("the on-demand instance is in reservation %s", in.CapacityReservationID)
			}
			claim := newClaim(reserved(id), m5)
			in, err := p.Launch(t.Context(), claim, class)
			if err != nil {
				t.Fatal(err)
			}
			if in.CapacityType != "reserved" || in.ReservationID != id || s.Instances()[1].CapacityReservationID != id {
				t.Errorf("launched %+v", in)
			}
			again, err := p.Get(t.Context(), in.ID)
			if err != nil || again.CapacityType != "reserved" || again.ReservationID != id {
				t.Errorf("read again: %+v, %v", again, err)
			}
			_, err = p.Launch(t.Context(), newClaim(reserved(id), m5), class)
			wantFull(t, err, id)
			must(t, p.Terminate(t.Context(), in.ID))
			if _, err := p.Launch(t.Context(), newClaim(reserved(id)), class); err != nil {
				t.Errorf("after its instance ended: %v", err)
			}
		})
	}
}

func wantFull(t *testing.T, err error, id string) {
	t.Helper()
	var capacity *cloud.CapacityError
	if !errors.As(err, &capacity) {
		t.Fatalf("err = %v, want a want of capacity", err)
	}
	want := []offering.Key{{InstanceType: "m5.large", Zone: "us-east-1a", CapacityType: "reserved", ReservationID: id}}
	if diff := cmp.Diff(want, capacity.Offerings); diff != "" {
		t.Errorf("unavailable (-want +got):\n%s", diff)
	}
}

// TestReservationIsGone: what the class no longer finds has no capacity.
func TestReservationIsGone(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true})
	_, err := newProvider(t, s).Launch(t.Context(), newClaim(reserved("cr-gone"), m5), reserving(v1alpha1.CapacityReservationSelectorTerm{ID: "cr-gone"}))
	wantFull(t, err, "cr-gone")
	if n := countCalls(s, "CreateFleet"); n != 0 {
		t.Errorf("%d calls for nothing", n)
	}
}

// TestReservationEnds: its instance runs on, and is on-demand capacity from then on; what is
// left of a reservation is known as soon as it is asked for.
func TestReservationEnds(t *testing.T) {
	s := startEC2(t, simec2.Config{Unthrottled: true, ReadLag: new(time.Duration(0)), Reservations: []simec2.CapacityReservation{m5Reservation("cr-1", 2)}})
	p, class := newProvider(t, s), reserving(v1alpha1.CapacityReservationSelectorTerm{ID: "cr-1"})
	left := func() (available int, known bool) {
		t.Helper()
		types, err := p.Types(t.Context(), class)
		must(t, err)
		for _, typ := range types {
			for _, o := range typ.Offerings {
				if o.Reservation != nil {
					available, known = o.Reservation.Available, true
				}
			}
		}
		return available, known
	}
	if n, known := left(); n != 2 || !known {
		t.Errorf("%d left at first", n)
	}
	in, err := p.Launch(t.Context(), newClaim(reserved("cr-1")), class)
	must(t, err)
	if n, known := left(); n != 1 || !known {
		t.Errorf("%d left after a launch", n)
	}
	ended := m5Reservation("cr-1", 2)
	ended.EndDate = time.Now().Add(-time.Second)
	must(t, s.SetReservations(ended))
	now, err := p.Get(t.Context(), in.ID)
	if err != nil || now.CapacityType != v1alpha1.CapacityTypeOnDemand || now.ReservationID != "" {
		t.Errorf("after the end: %+v, %v", now, err)
	}
	if n, known := left(); known {
		t.Errorf("%d left after the end", n)
	}
}
