package simec2

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
)

func (r *rig) sqs() *sqs.Client { return sqs.NewFromConfig(r.aws) }

// receive takes up to ten messages without waiting.
func (r *rig) receive() []sqstypes.Message {
	r.t.Helper()
	out, err := r.sqs().ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(r.QueueURL()), MaxNumberOfMessages: 10})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.Messages
}

func bodies(messages []sqstypes.Message) (out []string) {
	for _, m := range messages {
		out = append(out, *m.Body)
	}
	return out
}

func TestQueue(t *testing.T) {
	r := newRig(t)
	url, err := r.sqs().GetQueueUrl(r.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("slipway-dev")})
	if err != nil {
		t.Fatal(err)
	}
	if *url.QueueUrl != r.QueueURL() {
		t.Errorf("queue URL %s, want %s", *url.QueueUrl, r.QueueURL())
	}
	r.SendMessage("a", "b")
	first := r.receive()
	if diff := cmp.Diff([]string{"a", "b"}, bodies(first)); diff != "" {
		t.Error(diff)
	}
	if got := r.receive(); len(got) != 0 {
		t.Errorf("received %v, which another receiver has", bodies(got))
	}
	_, err = r.sqs().DeleteMessageBatch(r.ctx, &sqs.DeleteMessageBatchInput{
		QueueUrl: url.QueueUrl,
		Entries:  []sqstypes.DeleteMessageBatchRequestEntry{{Id: aws.String("1"), ReceiptHandle: first[0].ReceiptHandle}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Step(31 * time.Second)
	again := r.receive()
	if diff := cmp.Diff([]string{"b"}, bodies(again)); diff != "" {
		t.Errorf("after the visibility timeout: %s", diff)
	}
}

func TestQueueLongPoll(t *testing.T) {
	r := newRig(t)
	poll := func() (<-chan *sqs.ReceiveMessageOutput, <-chan error) {
		out, failed := make(chan *sqs.ReceiveMessageOutput, 1), make(chan error, 1)
		go func() {
			got, err := r.sqs().ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(r.QueueURL()), WaitTimeSeconds: 20})
			if err != nil {
				failed <- err
				return
			}
			out <- got
		}()
		for !r.clock.HasWaiters() && r.ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return out, failed
	}
	t.Run("a message ends it", func(t *testing.T) {
		out, failed := poll()
		r.SendMessage("late")
		select {
		case got := <-out:
			if diff := cmp.Diff([]string{"late"}, bodies(got.Messages)); diff != "" {
				t.Error(diff)
			}
		case err := <-failed:
			t.Fatal(err)
		}
	})
	t.Run("time ends it", func(t *testing.T) {
		out, failed := poll()
		r.clock.Step(21 * time.Second)
		select {
		case got := <-out:
			if len(got.Messages) > 0 {
				t.Errorf("got %v", bodies(got.Messages))
			}
		case err := <-failed:
			t.Fatal(err)
		}
	})
}

func TestQueueRefuses(t *testing.T) {
	r := newRig(t)
	url := aws.String(r.QueueURL())
	entries := make([]sqstypes.DeleteMessageBatchRequestEntry, 11)
	for i := range entries {
		entries[i] = sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: aws.String("r")}
	}
	for _, tc := range []struct {
		name, code string
		call       func() error
	}{
		{"another queue", "AWS.SimpleQueueService.NonExistentQueue", func() error {
			_, err := r.sqs().GetQueueUrl(r.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("other")})
			return err
		}},
		{"too many messages", "InvalidParameterValue", func() error {
			_, err := r.sqs().ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11})
			return err
		}},
		{"an attribute that is not simulated", "InvalidAttributeName", func() error {
			_, err := r.sqs().ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{
				QueueUrl: url, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"SenderId"},
			})
			return err
		}},
		{"message attributes", "SerializationException", func() error {
			_, err := r.sqs().ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MessageAttributeNames: []string{"All"}})
			return err
		}},
		{"too many deletions", "TooManyEntriesInBatchRequest", func() error {
			_, err := r.sqs().DeleteMessageBatch(r.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: entries})
			return err
		}},
		{"an action that is not simulated", "UnsupportedOperation", func() error {
			_, err := r.sqs().PurgeQueue(r.ctx, &sqs.PurgeQueueInput{QueueUrl: url})
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantCode(t, tc.call(), tc.code)
		})
	}
}

// events are the queue's, by kind, with the state or else the instance's id.
func (r *rig) events() (out []string) {
	r.t.Helper()
	for {
		messages := r.receive()
		if len(messages) == 0 {
			return out
		}
		for _, m := range messages {
			var e event
			if err := json.Unmarshal([]byte(*m.Body), &e); err != nil {
				r.t.Fatal(err)
			}
			kind := e.DetailType
			if state, ok := e.Detail["state"]; ok {
				kind += ": " + state.(string)
			}
			out = append(out, kind)
		}
	}
}

func TestInterruptions(t *testing.T) {
	const changed = "EC2 Instance State-change Notification: "
	for _, tc := range []struct {
		name, kind string
		spot       bool
		ends       time.Duration
		want       []string
	}{
		{"spot", InterruptSpot, true, 2 * time.Minute, []string{"EC2 Spot Instance Interruption Warning", changed + "shutting-down", changed + "terminated"}},
		{"rebalance", InterruptRebalance, true, 0, []string{"EC2 Instance Rebalance Recommendation"}},
		{"maintenance", InterruptMaintenance, false, time.Hour, []string{"AWS Health Event", changed + "shutting-down", changed + "terminated"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			in := r.fleet(r.template("nodes"), 1, []string{"m5.large"})
			if tc.spot {
				in.TargetCapacitySpecification.DefaultTargetCapacityType = ec2types.DefaultTargetCapacityTypeSpot
			}
			ids := r.launch(in)
			if diff := cmp.Diff([]string{changed + "pending", changed + "running"}, r.events()); diff != "" {
				t.Error(diff)
			}
			r.clock.Step(time.Minute) // those were not deleted: they come again, and are taken
			r.region.queue.messages = nil
			i := Interruption{Kind: tc.kind, InstanceIDs: ids}
			if tc.kind == InterruptMaintenance { // by default so late that SQS has dropped the notice
				i.In = Duration(tc.ends)
			}
			if err := r.Interrupt(i); err != nil {
				t.Fatal(err)
			}
			if tc.ends > 0 {
				r.clock.Step(tc.ends - time.Second)
			}
			if got := r.Instances()[0].State; got != StateRunning {
				t.Errorf("before its time the instance is %s", got)
			}
			r.clock.Step(time.Second)
			if ended := r.Instances()[0].State == StateTerminated; ended != (tc.ends > 0) {
				t.Errorf("instance ended: %v", ended)
			}
			if diff := cmp.Diff(tc.want, r.events()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		r := newRig(t)
		ids := r.launch(r.fleet(r.template("nodes"), 1, []string{"m5.large"}))
		for kind, want := range map[string]string{InterruptSpot: "not spot", InterruptReservation: "no capacity reservation", "storm": "unknown"} {
			if err := r.Interrupt(Interruption{Kind: kind, InstanceIDs: ids}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", kind, err, want)
			}
		}
	})
}

func TestSpotPricesMove(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SpotPricesMove = 10 * time.Minute })
	history := func(start time.Time) (prices []float64) {
		t.Helper()
		out, err := r.ec2.DescribeSpotPriceHistory(r.ctx, &ec2.DescribeSpotPriceHistoryInput{
			InstanceTypes: []ec2types.InstanceType{"m5.large"}, AvailabilityZone: aws.String("us-east-1a"), StartTime: aws.Time(start),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range out.SpotPriceHistory {
			var usd float64
			if _, err := fmt.Sscan(*h.SpotPrice, &usd); err != nil {
				t.Fatal(err)
			}
			prices = append(prices, usd)
		}
		return prices
	}
	began := r.clock.Now()
	r.clock.Step(time.Hour)
	now, all := history(r.clock.Now()), history(began)
	if len(now) != 1 || len(all) != 7 {
		t.Fatalf("prices now %v, in an hour %v, want 1 and 7", now, all)
	}
	if force, _ := r.SpotPrice("m5.large", "us-east-1a"); all[0] != now[0] || force != now[0] {
		t.Errorf("latest price %v, now %v, in force %v", all[0], now[0], force)
	}
	steps := 0
	for i := range all[1:] {
		change := all[i]/all[i+1] - 1
		if change < -0.05 || change > 0.05 {
			t.Errorf("a step of %.1f %%", 100*change)
		}
		if change != 0 {
			steps++
		}
	}
	if steps < 4 {
		t.Errorf("prices %v hardly move", all)
	}
}
