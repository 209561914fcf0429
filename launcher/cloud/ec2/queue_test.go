package ec2_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

func eventOf(source, kind, detail string) string {
	return fmt.Sprintf(`{"version":"0","source":%q,"detail-type":%q,"time":"2026-11-23T04:00:00Z","detail":%s}`, source, kind, detail)
}

// TestNotices: what becomes of the messages that EventBridge, and others, send.
func TestNotices(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	health := func(service, category, status string) string {
		return eventOf("aws.health", "AWS Health Event", fmt.Sprintf(
			`{"service":%q,"eventTypeCategory":%q,"statusCode":%q,"startTime":"Mon, 30 Nov 2026 04:00:00 GMT","affectedEntities":[{"entityValue":"i-1"},{"entityValue":"vol-1"},{"entityValue":"i-2"}]}`,
			service, category, status))
	}
	state := func(s string) string {
		return eventOf("aws.ec2", "EC2 Instance State-change Notification", `{"instance-id":"i-1","state":"`+s+`"}`)
	}
	one := []string{"i-1"}
	for _, tt := range []struct {
		name, body string
		want       cloud.Notice
		err        error
	}{
		{
			"spot interruption", eventOf("aws.ec2", "EC2 Spot Instance Interruption Warning", `{"instance-id":"i-1","instance-action":"terminate"}`),
			cloud.Notice{Kind: cloud.SpotInterruption, Instances: one, At: at, EndsAt: at.Add(2 * time.Minute)}, nil,
		},
		{
			"rebalance recommendation", eventOf("aws.ec2", "EC2 Instance Rebalance Recommendation", `{"instance-id":"i-1"}`),
			cloud.Notice{Kind: cloud.RebalanceRecommendation, Instances: one, At: at}, nil,
		},
		{
			"reservation interruption", eventOf("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning",
				`{"instance-id":"i-1","instance-action":"terminate","instance-termination-time":"2026-11-23T04:02:00Z","azId":"use1-az1"}`),
			cloud.Notice{Kind: cloud.ReservationInterruption, Instances: one, At: at, EndsAt: at.Add(2 * time.Minute)}, nil,
		},
		{"a start", state("running"), cloud.Notice{Kind: cloud.StateChange, At: at}, nil},
		{"an end", state("shutting-down"), cloud.Notice{Kind: cloud.StateChange, Instances: one, At: at, EndsAt: at}, nil},
		{
			"scheduled change", health("EC2", "scheduledChange", "upcoming"),
			cloud.Notice{Kind: cloud.ScheduledChange, Instances: []string{"i-1", "i-2"}, At: at, EndsAt: at.Add(7 * 24 * time.Hour)}, nil,
		},
		{"change that is over", health("EC2", "scheduledChange", "closed"), cloud.Notice{Kind: cloud.ScheduledChange, At: at}, nil},
		{"an issue", health("EC2", "issue", "open"), cloud.Notice{Kind: cloud.ScheduledChange, At: at}, nil},
		{"health of another service", health("RDS", "scheduledChange", "upcoming"), cloud.Notice{Kind: cloud.ScheduledChange, At: at}, nil},

		{"no JSON", "{", cloud.Notice{}, cloud.ErrMalformed},
		{"nothing", "", cloud.Notice{}, cloud.ErrMalformed},
		{"a list", "[]", cloud.Notice{}, cloud.ErrMalformed},
		{"no time", `{"source":"aws.ec2","detail-type":"EC2 Instance Rebalance Recommendation","detail":{"instance-id":"i-1"}}`, cloud.Notice{}, cloud.ErrMalformed},
		{"no detail", `{"source":"aws.ec2","detail-type":"EC2 Instance Rebalance Recommendation","time":"2026-11-23T04:00:00Z"}`, cloud.Notice{}, cloud.ErrMalformed},
		{"no instance", eventOf("aws.ec2", "EC2 Spot Instance Interruption Warning", `{}`), cloud.Notice{}, cloud.ErrMalformed},
		{"a state that is none", state("sleeping"), cloud.Notice{}, cloud.ErrMalformed},
		{"no end", eventOf("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning", `{"instance-id":"i-1"}`), cloud.Notice{}, cloud.ErrMalformed},
		{"another kind", eventOf("aws.ec2", "EC2 Fleet Instance Change", `{}`), cloud.Notice{}, cloud.ErrForeign},
		{"another source", eventOf("com.example", "EC2 Spot Instance Interruption Warning", `{"instance-id":"i-1"}`), cloud.Notice{}, cloud.ErrForeign},
		{"no event", `{"Service":"Amazon S3","Event":"s3:TestEvent"}`, cloud.Notice{}, cloud.ErrForeign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startEC2(t, simec2.Config{})
			q := newProvider(t, s).Queue(clusterName)
			s.SendMessage(tt.body)
			got, err := q.Receive(t.Context())
			if err != nil || len(got) != 1 {
				t.Fatalf("messages %v, error %v", got, err)
			}
			if diff := cmp.Diff(tt.want, got[0].Notice); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(got[0].Err, tt.err) || (got[0].Err == nil) != (tt.err == nil) {
				t.Errorf("error %v, want %v", got[0].Err, tt.err)
			}
			if err := q.Delete(t.Context(), []string{got[0].Receipt}); err != nil {
				t.Fatal(err)
			}
			if n := s.QueuedMessages(); n != 0 {
				t.Errorf("%d messages left", n)
			}
		})
	}
}

func TestQueueErrors(t *testing.T) {
	s := startEC2(t, simec2.Config{})
	p := newProvider(t, s)
	if _, err := p.Queue("another").Receive(t.Context()); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("error %v, want not found", err)
	}
	must(t, s.InjectFault(simec2.Fault{Action: "ReceiveMessage", Code: "AccessDenied"}))
	if _, err := p.Queue(clusterName).Receive(t.Context()); !errors.Is(err, cloud.ErrDenied) {
		t.Errorf("error %v, want denied", err)
	}
}

// TestQueueEndsWithItsContext: a long poll does not hold up the end of the process.
func TestQueueEndsWithItsContext(t *testing.T) {
	s := startEC2(t, simec2.Config{})
	q := newProvider(t, s).Queue(clusterName)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if messages, err := q.Receive(ctx); err == nil {
		t.Errorf("received %v", messages)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestQueueDrains10000: with as many readers as package nodeclaim has, and messages of all
// kinds, 10,000 are read and deleted well within a minute.
func TestQueueDrains10000(t *testing.T) {
	const n, readers = 10_000, 4
	s := startEC2(t, simec2.Config{})
	bodies := make([]string, n)
	for i := range bodies {
		switch i % 3 {
		case 0:
			bodies[i] = eventOf("aws.ec2", "EC2 Spot Instance Interruption Warning", fmt.Sprintf(`{"instance-id":"i-%d"}`, i))
		case 1:
			bodies[i] = "nonsense"
		case 2:
			bodies[i] = eventOf("com.example", "Something", `{}`)
		}
	}
	s.SendMessage(bodies...)
	q := newProvider(t, s).Queue(clusterName)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	var notices, dropped atomic.Int64
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			for notices.Load()+dropped.Load() < n && ctx.Err() == nil {
				messages, err := q.Receive(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				receipts := make([]string, len(messages))
				for i, m := range messages {
					receipts[i] = m.Receipt
				}
				if err := q.Delete(ctx, receipts); err != nil {
					t.Error(err)
					return
				}
				for _, m := range messages {
					if m.Err == nil {
						notices.Add(1)
					} else {
						dropped.Add(1)
					}
				}
				if notices.Load()+dropped.Load() >= n {
					cancel() // the polls of the others
				}
			}
		})
	}
	running.Wait()
	t.Logf("10,000 messages in %v", time.Since(start).Round(time.Millisecond))
	if notices.Load() != 3334 || dropped.Load() != 6666 || s.QueuedMessages() != 0 {
		t.Errorf("%d notices, %d dropped, %d left", notices.Load(), dropped.Load(), s.QueuedMessages())
	}
}
