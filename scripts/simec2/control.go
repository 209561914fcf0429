package simec2

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// controlPrefix separates the control API, which is the simulator's own, from
// AWS's, which lives at the root.
const controlPrefix = "/_sim/"

// control serves:
//
//	GET  /_sim/instances                    all instances, as they really are
//	GET  /_sim/calls[?action=CreateFleet]   the log of API calls
//	GET  /_sim/faults   PUT /_sim/faults    the faults in force: [{"action","code","count",…}]
//	PUT  /_sim/capacity                     [{"instanceType","zone","capacityType","instances"}]
//	PUT  /_sim/reservations                 [{"id","instanceType","zone","instances",…}]: all capacity reservations
//	PUT  /_sim/memory                       {"instanceType","lessPercent"}
//	POST /_sim/images                       {"release"}: publish new node images
//	POST /_sim/terminate                    {"instanceIds"}: behind the launcher's back
//	POST /_sim/interrupt                    {"kind","instanceIds","in"}: spot, rebalance, reservation, maintenance
//	POST /_sim/impair                       {"check","instanceIds"}: system, instance, ebs, or "" for none
//	POST /_sim/messages                     ["…"]: into the queue, whatever they say
func (s *Server) control(w http.ResponseWriter, hr *http.Request) {
	result, err := s.controlAction(w, hr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(result) // a caller that hung up is its own affair
}

func (s *Server) controlAction(w http.ResponseWriter, hr *http.Request) (any, error) {
	done := map[string]bool{"ok": true}
	decode := func(into any) error {
		dec := json.NewDecoder(http.MaxBytesReader(w, hr.Body, maxBody))
		dec.DisallowUnknownFields()
		return dec.Decode(into)
	}
	switch route := hr.Method + " " + strings.TrimPrefix(hr.URL.Path, controlPrefix); route {
	case "GET instances":
		return s.Instances(), nil
	case "GET calls":
		return s.callsOf(hr.URL.Query().Get("action")), nil
	case "GET faults":
		return s.Faults(), nil
	case "PUT faults":
		var list []Fault
		if err := decode(&list); err != nil {
			return nil, err
		}
		return done, s.SetFaults(list...)
	case "PUT capacity":
		var rules []CapacityRule
		if err := decode(&rules); err != nil {
			return nil, err
		}
		return done, s.SetCapacity(rules...)
	case "PUT reservations":
		var list []CapacityReservation
		if err := decode(&list); err != nil {
			return nil, err
		}
		return done, s.SetReservations(list...)
	case "PUT memory":
		var in struct {
			InstanceType string  `json:"instanceType"`
			LessPercent  float64 `json:"lessPercent"`
		}
		if err := decode(&in); err != nil {
			return nil, err
		}
		return done, s.ShrinkMemory(in.InstanceType, in.LessPercent)
	case "POST images":
		var in struct {
			Release string `json:"release"`
		}
		if err := decode(&in); err != nil {
			return nil, err
		}
		return done, s.PublishImages(in.Release)
	case "POST terminate":
		var in struct {
			InstanceIDs []string `json:"instanceIds"`
		}
		if err := decode(&in); err != nil {
			return nil, err
		}
		return done, s.Terminate(in.InstanceIDs...)
	case "POST interrupt":
		var in Interruption
		if err := decode(&in); err != nil {
			return nil, err
		}
		return done, s.Interrupt(in)
	case "POST impair":
		var in struct {
			Check       string   `json:"check"`
			InstanceIDs []string `json:"instanceIds"`
		}
		if err := decode(&in); err != nil {
			return nil, err
		}
		return done, s.Impair(in.Check, in.InstanceIDs...)
	case "POST messages":
		var bodies []string
		if err := decode(&bodies); err != nil {
			return nil, err
		}
		s.SendMessage(bodies...)
		return done, nil
	default:
		return nil, fmt.Errorf("no such control action: %s", route)
	}
}

func (s *Server) callsOf(action string) []Call {
	out := []Call{}
	for _, c := range s.Calls() {
		if action == "" || c.Action == action {
			out = append(out, c)
		}
	}
	return out
}
