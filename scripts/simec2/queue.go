package simec2

import (
	"crypto/md5" //nolint:gosec // G501: the checksum that SQS sends
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Limits of SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
const (
	maxReceive        = 10
	maxWaitSeconds    = 20
	maxVisibility     = 12 * 60 * 60
	defaultVisibility = 30 * time.Second
	retention         = 4 * 24 * time.Hour
)

// queue is the one SQS queue of the region, to which EventBridge sends what happens to
// instances. It is of the standard kind: messages may come in any order, and again after
// their visibility timeout when they are not deleted.
type queue struct {
	name, url string
	sent      uint64
	messages  []*message    // by the time they were sent
	arrived   chan struct{} // closed when one is sent
}

// message is one in the queue. Until visibleAt it is in the hands of the receiver who has
// its receipt.
type message struct {
	id, body, receipt string
	sentAt, visibleAt time.Time
	received          int
}

func newQueue(name string) *queue {
	return &queue{name: name, arrived: make(chan struct{})}
}

// path is the queue's in its URL.
func (q *queue) path() string { return "/" + accountID + "/" + q.name }

func (q *queue) send(body string, now time.Time) {
	q.sent++
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return now.Sub(m.sentAt) >= retention })
	q.messages = append(q.messages, &message{
		id: fmt.Sprintf("00000000-0000-4000-9000-%012x", q.sent), body: body, sentAt: now, visibleAt: now,
	})
	close(q.arrived)
	q.arrived = make(chan struct{})
}

// next is when the next message can be received; zero when there is none.
func (q *queue) next() (at time.Time) {
	for _, m := range q.messages {
		if at.IsZero() || m.visibleAt.Before(at) {
			at = m.visibleAt
		}
	}
	return at
}

// receive hands out up to n messages and hides them for a while.
func (q *queue) receive(n int, hide time.Duration, now time.Time) []*message {
	var out []*message
	for _, m := range q.messages {
		if len(out) == n {
			break
		}
		if m.visibleAt.After(now) {
			continue
		}
		m.received++
		m.visibleAt = now.Add(hide)
		m.receipt = fmt.Sprintf("%s#%d", m.id, m.received)
		out = append(out, m)
	}
	return out
}

// remove deletes the messages of these receipts. As with SQS, one that is gone is no
// error, and an old receipt of a message may or may not delete it; here it does not.
func (q *queue) remove(receipts ...string) {
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool {
		return m.receipt != "" && slices.Contains(receipts, m.receipt)
	})
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body)) //nolint:gosec // G401: the checksum that SQS sends
	return hex.EncodeToString(sum[:])
}

// Attributes of messages that can be asked for.
const (
	attributeSent     = "SentTimestamp"
	attributeReceived = "ApproximateReceiveCount"
)

// attributes are those of a message that were asked for.
func (m *message) attributes(names []string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		if name == attributeSent || name == "All" {
			out[attributeSent] = strconv.FormatInt(m.sentAt.UnixMilli(), 10)
		}
		if name == attributeReceived || name == "All" {
			out[attributeReceived] = strconv.Itoa(m.received)
		}
	}
	return out
}
