package ec2

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// event is the envelope in which EventBridge sends notices.
// https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
type event struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// spotNotice is how long before its end the owner of a spot instance is warned; the warning
// itself does not say.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
const spotNotice = 2 * time.Minute

type eventKind struct{ source, detailType string }

// parsers by what EventBridge calls the events. Each completes the notice from the detail.
func parserOf(k eventKind) func(*cloud.Notice, json.RawMessage) error {
	switch k {
	case eventKind{"aws.ec2", "EC2 Spot Instance Interruption Warning"}:
		return parseSpotInterruption
	case eventKind{"aws.ec2", "EC2 Instance Rebalance Recommendation"}:
		return parseRebalance
	case eventKind{"aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"}:
		return parseReservationInterruption
	case eventKind{"aws.ec2", "EC2 Instance State-change Notification"}:
		return parseStateChange
	case eventKind{"aws.health", "AWS Health Event"}:
		return parseHealth
	}
	return nil
}

// parseEvent reads the body of a message; the error wraps cloud.ErrMalformed or ErrForeign.
func parseEvent(body string) (cloud.Notice, error) {
	var e event
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return cloud.Notice{}, fmt.Errorf("%w: %w", cloud.ErrMalformed, err)
	}
	parse := parserOf(eventKind{e.Source, e.DetailType})
	if parse == nil {
		return cloud.Notice{}, fmt.Errorf("%w: %q of %q", cloud.ErrForeign, e.DetailType, e.Source)
	}
	n := cloud.Notice{At: e.Time}
	if e.Time.IsZero() {
		return cloud.Notice{}, fmt.Errorf("%w: %s: no time", cloud.ErrMalformed, e.DetailType)
	}
	if err := parse(&n, e.Detail); err != nil {
		return cloud.Notice{}, fmt.Errorf("%w: %s: %w", cloud.ErrMalformed, e.DetailType, err)
	}
	return n, nil
}

// instanceDetail is what the events of EC2 have in common.
type instanceDetail struct {
	InstanceID      string    `json:"instance-id"`
	State           string    `json:"state"`
	TerminationTime time.Time `json:"instance-termination-time"`
}

func parseDetail(n *cloud.Notice, raw json.RawMessage) (instanceDetail, error) {
	var d instanceDetail
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, err
	}
	if d.InstanceID == "" {
		return d, errors.New("no instance-id")
	}
	n.Instances = []string{d.InstanceID}
	return d, nil
}

func parseSpotInterruption(n *cloud.Notice, raw json.RawMessage) error {
	n.Kind, n.EndsAt = cloud.SpotInterruption, n.At.Add(spotNotice)
	_, err := parseDetail(n, raw)
	return err
}

func parseRebalance(n *cloud.Notice, raw json.RawMessage) error {
	n.Kind = cloud.RebalanceRecommendation
	_, err := parseDetail(n, raw)
	return err
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html
func parseReservationInterruption(n *cloud.Notice, raw json.RawMessage) error {
	n.Kind = cloud.ReservationInterruption
	d, err := parseDetail(n, raw)
	if err == nil && d.TerminationTime.IsZero() {
		return errors.New("no instance-termination-time")
	}
	n.EndsAt = d.TerminationTime
	return err
}

// parseStateChange: an instance that starts calls for nothing, one that ends has ended.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-state-changes-eventbridge.html
func parseStateChange(n *cloud.Notice, raw json.RawMessage) error {
	n.Kind = cloud.StateChange
	d, err := parseDetail(n, raw)
	if err != nil {
		return err
	}
	switch d.State {
	case "pending", "running":
		n.Instances = nil
	case "stopping", "stopped", "shutting-down", "terminated":
		n.EndsAt = n.At
	default:
		return fmt.Errorf("state %q", d.State)
	}
	return nil
}

// parseHealth: of all that AWS Health tells, changes that are scheduled for instances matter.
// https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
func parseHealth(n *cloud.Notice, raw json.RawMessage) error {
	n.Kind = cloud.ScheduledChange
	var d struct {
		Service           string `json:"service"`
		EventTypeCategory string `json:"eventTypeCategory"`
		StatusCode        string `json:"statusCode"`
		StartTime         string `json:"startTime"`
		AffectedEntities  []struct {
			EntityValue string `json:"entityValue"`
		} `json:"affectedEntities"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	if d.Service != "EC2" || d.EventTypeCategory != "scheduledChange" || d.StatusCode == "closed" {
		return nil
	}
	at, err := time.Parse(time.RFC1123, d.StartTime)
	if err != nil {
		return fmt.Errorf("startTime: %w", err)
	}
	n.EndsAt = at
	for _, e := range d.AffectedEntities {
		if strings.HasPrefix(e.EntityValue, "i-") {
			n.Instances = append(n.Instances, e.EntityValue)
		}
	}
	return nil
}
