package simec2

import (
	"container/heap"
	"maps"
	"time"
)

// States of an instance, as EC2 names them.
const (
	StatePending      = "pending"
	StateRunning      = "running"
	StateShuttingDown = "shutting-down"
	StateTerminated   = "terminated"
)

// stateCode is the number EC2 sends beside the name.
func stateCode(state string) int {
	switch state {
	case StateRunning:
		return 16
	case StateShuttingDown:
		return 32
	case StateTerminated:
		return 48
	}
	return 0
}

// Interface is a network interface that a launch template describes.
type Interface struct {
	Card   int    `json:"card"`
	Device int    `json:"device"`
	Type   string `json:"type"` // interface or efa-only
}

// lacks says why instances of the type cannot have the network interfaces; nil where they can.
func (t InstanceType) lacks(interfaces []Interface) *apiError {
	primary, efas, at := len(interfaces) == 0, map[int]bool{}, map[[2]int]bool{}
	for _, i := range interfaces {
		place := [2]int{i.Card, i.Device}
		switch {
		case i.Card >= t.cards() || i.Device >= t.ENIs:
			return refuse("AttachmentLimitExceeded", "Network card %d, device %d exceeds the limit for %s", i.Card, i.Device, t.Name)
		case at[place]:
			return refuse("InvalidParameterValue", "Duplicate device index %d on network card %d", i.Device, i.Card)
		case i.Type == "efa-only" && (efas[i.Card] || len(efas) == t.EFAs):
			return refuse("AttachmentLimitExceeded", "EFA interface count exceeds the limit for %s", t.Name)
		}
		at[place] = true
		if i.Type == "efa-only" {
			efas[i.Card] = true
		} else if place == [2]int{} {
			primary = true
		}
	}
	if !primary {
		return refuse("InvalidParameterCombination", "The primary network interface is missing or has no address")
	}
	return nil
}

// EFAs counts the instance's Elastic Fabric Adapters.
func (i *Instance) EFAs() int {
	n := 0
	for _, in := range i.Interfaces {
		if in.Type == "efa-only" {
			n++
		}
	}
	return n
}

// Instance is a machine as it is, not as a lagging Describe call tells.
type Instance struct {
	ID           string       `json:"id"`
	State        string       `json:"state"`
	Type         InstanceType `json:"type"`
	Zone         string       `json:"zone"`
	ZoneID       string       `json:"zoneId"`
	SubnetID     string       `json:"subnetId"`
	CapacityType string       `json:"capacityType"`
	// CapacityReservationID is what it runs in, targeted or by matching.
	CapacityReservationID string            `json:"capacityReservationId,omitempty"`
	Price                 float64           `json:"price"` // USD per hour at launch
	ImageID               string            `json:"imageId"`
	PrivateIP             string            `json:"privateIp"`
	PrivateDNS            string            `json:"privateDns"`
	MemoryMiB             int64             `json:"memoryMiB"` // what its operating system finds
	VolumeGiB             int64             `json:"volumeGiB"` // of the root volume
	OS                    string            `json:"os"`
	Monitored             bool              `json:"monitored,omitempty"`  // per minute
	PublicIP              string            `json:"publicIp,omitempty"`   // as asked for: true, false or nothing
	Prefixes              int               `json:"prefixes,omitempty"`   // delegated at launch
	Interfaces            []Interface       `json:"interfaces,omitempty"` // where the template describes them
	UserData              string            `json:"-"`                    // base64, as in the launch template
	Tags                  map[string]string `json:"tags"`

	ClientToken           string    `json:"clientToken"`
	FleetID               string    `json:"fleetId"`
	LaunchTemplateID      string    `json:"launchTemplateId"`
	LaunchTemplateVersion int64     `json:"launchTemplateVersion"`
	LaunchTime            time.Time `json:"launchTime"`
	// Impaired is the check that it fails, if any; see Server.Impair.
	Impaired string `json:"impaired,omitempty"`
	// TerminationReason tells a caller's termination from one behind its back.
	TerminationReason string `json:"terminationReason,omitempty"`
}

// machine is an Instance and what the region keeps about it.
//
//	pending ──boot delay──▶ running
//	   │                       │ reclaimed
//	   └──────terminate────────┴──▶ shutting-down ──delay──▶ terminated ──retention──▶ gone
type machine struct {
	Instance
	reservationID string // of the call that launched it, nothing to do with capacity
	targetID      string // the capacity reservation it targets
	securityGroup []string
	profileARN    string
	hopLimit      int
	httpTokens    string
	visibleAt     time.Time         // to Describe calls
	seenTags      map[string]string // what Describe calls showed last
	pendingTags   []laggedTags      // written and not yet shown, by time
	due           time.Time         // of the next transition; zero when none is due
	impairedSince time.Time
	endsAt        time.Time // when it is reclaimed, if that was announced
	endReason     string
	heapIndex     int
}

type laggedTags struct {
	at   time.Time
	tags map[string]string
}

// describedTags are the tags a Describe call at that time shows. Calls must not
// go back in time.
func (m *machine) describedTags(now time.Time) map[string]string {
	for len(m.pendingTags) > 0 && !m.pendingTags[0].at.After(now) {
		maps.Copy(m.seenTags, m.pendingTags[0].tags)
		m.pendingTags = m.pendingTags[1:]
	}
	return m.seenTags
}

// snapshot is safe to keep after the lock is released.
func (m *machine) snapshot() Instance {
	i := m.Instance
	i.Tags = maps.Clone(m.Tags)
	return i
}

// schedule orders machines by the time of their next transition.
type schedule []*machine

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].heapIndex, s[j].heapIndex = i, j
}

// Push is for container/heap.
func (s *schedule) Push(x any) {
	m := x.(*machine)
	m.heapIndex = len(*s)
	*s = append(*s, m)
}

// Pop is for container/heap.
func (s *schedule) Pop() any {
	old := *s
	m := old[len(old)-1]
	*s = old[:len(old)-1]
	m.heapIndex = -1
	return m
}

// next sets the time of the machine's next transition; the zero time takes it
// off the schedule.
func (s *schedule) next(m *machine, at time.Time) {
	if m.heapIndex >= 0 {
		heap.Remove(s, m.heapIndex)
	}
	m.due = at
	if !at.IsZero() {
		heap.Push(s, m)
	}
}
