package simec2

import (
	"fmt"
	"time"
)

// Kinds of interruptions that can be commanded.
const (
	// InterruptSpot reclaims a spot instance two minutes after a warning.
	InterruptSpot = "spot"
	// InterruptRebalance only says that a spot instance is likely to be reclaimed.
	InterruptRebalance = "rebalance"
	// InterruptReservation reclaims an instance of a capacity reservation two minutes
	// after a warning.
	InterruptReservation = "reservation"
	// InterruptMaintenance announces that the host is retired at some time.
	InterruptMaintenance = "maintenance"
)

// reclaimNotice is how long before its end the owner of an instance is warned.
const reclaimNotice = 2 * time.Minute

// Interruption is what is done to instances on command.
type Interruption struct {
	Kind        string   `json:"kind"`
	InstanceIDs []string `json:"instanceIds"`
	// In is the time until the instances end; by default two minutes, and two weeks for
	// maintenance. A rebalance recommendation ends none.
	In Duration `json:"in,omitempty"`
}

// Interrupt warns of the end of instances through the queue, and ends them when it is time.
func (s *Server) Interrupt(i Interruption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	if i.In < 0 {
		return fmt.Errorf("interruption in %v: negative", time.Duration(i.In))
	}
	for _, id := range i.InstanceIDs {
		if err := s.region.interruptible(i.Kind, id); err != nil {
			return err
		}
	}
	for _, id := range i.InstanceIDs {
		s.region.interrupt(s.region.machines[id], i, now)
	}
	s.announce()
	return nil
}

// interruptible says why an instance cannot be interrupted so; nil when it can.
func (r *region) interruptible(kind, id string) error {
	m, ok := r.machines[id]
	switch {
	case !ok:
		return fmt.Errorf("instance %s: not found", id)
	case m.State != StatePending && m.State != StateRunning:
		return fmt.Errorf("instance %s: is %s", id, m.State)
	case (kind == InterruptSpot || kind == InterruptRebalance) && m.CapacityType != Spot:
		return fmt.Errorf("instance %s: %s interruption of an instance that is not spot", id, kind)
	case kind == InterruptReservation && m.CapacityReservationID == "":
		return fmt.Errorf("instance %s: is in no capacity reservation", id)
	}
	switch kind {
	case InterruptSpot, InterruptRebalance, InterruptReservation, InterruptMaintenance:
		return nil
	}
	return fmt.Errorf("interruption of kind %q: unknown", kind)
}

func (r *region) interrupt(m *machine, i Interruption, now time.Time) {
	notice := time.Duration(i.In)
	switch i.Kind {
	case InterruptRebalance:
		r.notify("aws.ec2", "EC2 Instance Rebalance Recommendation", m.ID, map[string]any{"instance-id": m.ID}, now)
		return
	case InterruptSpot:
		setDefault(&notice, reclaimNotice)
		m.endReason = "Server.SpotInstanceTermination"
		r.notify("aws.ec2", "EC2 Spot Instance Interruption Warning", m.ID, map[string]any{"instance-id": m.ID, "instance-action": "terminate"}, now)
	case InterruptReservation:
		setDefault(&notice, reclaimNotice)
		m.endReason = "Server.CapacityReservationInterruption"
		r.notify("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning", m.ID, map[string]any{
			"instance-id": m.ID, "instance-action": "terminate", "azId": m.ZoneID,
			"instance-termination-time": now.Add(notice).UTC().Format(time.RFC3339),
		}, now)
	case InterruptMaintenance:
		setDefault(&notice, 14*24*time.Hour)
		m.endReason = "Server.ScheduledStop"
		r.notify("aws.health", "AWS Health Event", m.ID, map[string]any{
			"eventArn": "arn:aws:health:" + r.cfg.Region + "::event/EC2/AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED/" + m.ID,
			"service":  "EC2", "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", "eventTypeCategory": "scheduledChange",
			"eventRegion": r.cfg.Region, "statusCode": "upcoming",
			"startTime":        now.Add(notice).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"),
			"affectedEntities": []map[string]string{{"entityValue": m.ID}},
		}, now)
	}
	m.endsAt = now.Add(notice)
	if m.State == StateRunning {
		r.schedule.next(m, m.endsAt)
	}
}

// SendMessage puts a message into the queue, whatever it says.
func (s *Server) SendMessage(bodies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	for _, body := range bodies {
		s.region.queue.send(body, now)
	}
}

// QueueURL is the URL of the queue that the events of the region's instances are sent to.
func (s *Server) QueueURL() string { return s.region.queue.url }

// QueuedMessages counts the messages in the queue, those in the hands of receivers included.
func (s *Server) QueuedMessages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.region.queue.messages)
}
