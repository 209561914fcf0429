package simec2

import (
	"encoding/json"
	"fmt"
	"time"
)

// What EventBridge sends about instances, as the region's rules pass it to the queue.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html
// https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html

// event is the envelope of EventBridge.
type event struct {
	Version    string         `json:"version"`
	ID         string         `json:"id"`
	DetailType string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"`
	Time       string         `json:"time"`
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	Detail     map[string]any `json:"detail"`
}

// notify puts an event about an instance into the queue.
func (r *region) notify(source, kind, instance string, detail map[string]any, now time.Time) {
	resource := fmt.Sprintf("arn:aws:ec2:%s:%s:instance/%s", r.cfg.Region, accountID, instance)
	if source == "aws.health" {
		resource = instance
	}
	raw, err := json.Marshal(event{
		Version: "0", ID: fmt.Sprintf("00000000-0000-4000-a000-%012x", r.queue.sent+1), DetailType: kind, Source: source,
		Account: accountID, Time: now.UTC().Format(time.RFC3339), Region: r.cfg.Region, Resources: []string{resource}, Detail: detail,
	})
	if err != nil {
		panic(fmt.Sprintf("event %s of %s: %v", kind, instance, err)) // maps of plain values always marshal
	}
	r.queue.send(string(raw), now)
}

// notifyState tells of the state that an instance has come to.
func (r *region) notifyState(m *machine, now time.Time) {
	r.notify("aws.ec2", "EC2 Instance State-change Notification", m.ID, map[string]any{"instance-id": m.ID, "state": m.State}, now)
}
