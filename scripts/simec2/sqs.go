package simec2

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// SQS is served by its two protocols: JSON, which SDKs speak today, and Query, which
// older clients do. Both come down to these calls.
//
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html

type getQueueURLInput struct {
	QueueName              string
	QueueOwnerAWSAccountID string `json:"QueueOwnerAWSAccountId"`
}

type receiveInput struct {
	QueueURL            string `json:"QueueUrl"`
	MaxNumberOfMessages *int
	WaitTimeSeconds     *int
	VisibilityTimeout   *int
	// AttributeNames is the older name of MessageSystemAttributeNames.
	AttributeNames              []string
	MessageSystemAttributeNames []string
}

type deleteInput struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []deleteEntry
}

type deleteEntry struct {
	ID            string `json:"Id"`
	ReceiptHandle string
}

func (q *queue) getURL(in getQueueURLInput) (string, *apiError) {
	if in.QueueOwnerAWSAccountID != "" && in.QueueOwnerAWSAccountID != accountID {
		return "", refuse("AccessDenied", "Access to the queue of account %s is denied", in.QueueOwnerAWSAccountID)
	}
	if in.QueueName != q.name {
		return "", noSuchQueue()
	}
	return q.url, nil
}

func noSuchQueue() *apiError {
	e := refuse("QueueDoesNotExist", "The specified queue does not exist.")
	e.queryCode = "AWS.SimpleQueueService.NonExistentQueue"
	return e
}

func invalidParameter(format string, args ...any) *apiError {
	return refuse("InvalidParameterValue", format, args...)
}

// complete checks a request and fills in what it leaves out.
func (in *receiveInput) complete(q *queue) *apiError {
	if in.QueueURL != q.url {
		return noSuchQueue()
	}
	for _, p := range []struct {
		name        string
		field       **int
		preset      int
		least, most int
	}{
		{"MaxNumberOfMessages", &in.MaxNumberOfMessages, 1, 1, maxReceive},
		{"WaitTimeSeconds", &in.WaitTimeSeconds, 0, 0, maxWaitSeconds},
		{"VisibilityTimeout", &in.VisibilityTimeout, int(defaultVisibility.Seconds()), 0, maxVisibility},
	} {
		if *p.field == nil {
			*p.field = &p.preset
		}
		if n := **p.field; n < p.least || n > p.most {
			return invalidParameter("Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", n, p.name, p.least, p.most)
		}
	}
	in.MessageSystemAttributeNames = append(in.MessageSystemAttributeNames, in.AttributeNames...)
	for _, name := range in.MessageSystemAttributeNames {
		if !slices.Contains([]string{"All", attributeSent, attributeReceived}, name) {
			return refuse("InvalidAttributeName", "Unknown Attribute %s, or not simulated.", name)
		}
	}
	return nil
}

func (q *queue) serveReceive(in receiveInput, now time.Time) []*message {
	return q.receive(*in.MaxNumberOfMessages, time.Duration(*in.VisibilityTimeout)*time.Second, now)
}

// deleteBatch returns the ids of the entries, all of which are gone.
func (q *queue) deleteBatch(in deleteInput) ([]string, *apiError) {
	if in.QueueURL != q.url {
		return nil, noSuchQueue()
	}
	switch n := len(in.Entries); {
	case n == 0:
		return nil, refuse("EmptyBatchRequest", "There should be at least one DeleteMessageBatchRequestEntry in the request.")
	case n > maxReceive:
		return nil, refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxReceive, n)
	}
	var ids, receipts []string
	for _, e := range in.Entries {
		if e.ID == "" || slices.Contains(ids, e.ID) {
			return nil, refuse("BatchEntryIdsNotDistinct", "Id %q is missing or repeated.", e.ID)
		}
		if e.ReceiptHandle == "" {
			return nil, refuse("MissingParameter", "The request must contain the parameter ReceiptHandle.")
		}
		ids, receipts = append(ids, e.ID), append(receipts, e.ReceiptHandle)
	}
	q.remove(receipts...)
	return ids, nil
}

// await holds a long poll until a message can be received or its time is over. It reports
// false when the caller has gone.
func (s *Server) await(ctx context.Context, in receiveInput) bool {
	if in.complete(s.region.queue) != nil || *in.WaitTimeSeconds == 0 {
		return true
	}
	end := s.cfg.Clock.Now().Add(time.Duration(*in.WaitTimeSeconds) * time.Second)
	for {
		s.mu.Lock()
		now := s.advance()
		next, arrived := s.region.queue.next(), s.region.queue.arrived
		s.mu.Unlock()
		if !next.IsZero() && !next.After(now) || !now.Before(end) {
			return true
		}
		if next.IsZero() || next.After(end) {
			next = end
		}
		timer := s.cfg.Clock.NewTimer(next.Sub(now))
		select {
		case <-arrived:
		case <-timer.C():
		case <-s.stopping:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// sqsJSON serves SQS in its JSON protocol.
func (s *Server) sqsJSON(req *request) {
	q := s.region.queue
	switch req.action {
	case "GetQueueUrl":
		req.serve = decoded(req.body, func(in getQueueURLInput, _ time.Time) (any, *apiError) {
			url, err := q.getURL(in)
			return map[string]string{"QueueUrl": url}, err
		})
	case "ReceiveMessage":
		req.wait = func(ctx context.Context) bool {
			var in receiveInput
			return decodeJSON(req.body, &in) != nil || s.await(ctx, in)
		}
		req.serve = decoded(req.body, func(in receiveInput, now time.Time) (any, *apiError) {
			if err := in.complete(q); err != nil {
				return nil, err
			}
			return messagesJSON(q.serveReceive(in, now), in.MessageSystemAttributeNames), nil
		})
	case "DeleteMessageBatch":
		req.serve = decoded(req.body, func(in deleteInput, _ time.Time) (any, *apiError) {
			ids, err := q.deleteBatch(in)
			done := make([]map[string]string, len(ids))
			for i, id := range ids {
				done[i] = map[string]string{"Id": id}
			}
			return map[string]any{"Successful": done, "Failed": []any{}}, err
		})
	default:
		req.serve = func(time.Time, string) (any, *apiError) {
			return nil, refuse("UnsupportedOperation", "The action %s of SQS is not simulated", req.action)
		}
	}
}

// decoded serves a request of the JSON protocol with the input it decodes to.
func decoded[T any](body []byte, handle func(T, time.Time) (any, *apiError)) func(time.Time, string) (any, *apiError) {
	return func(now time.Time, _ string) (any, *apiError) {
		var in T
		if err := decodeJSON(body, &in); err != nil {
			return nil, err
		}
		answer, err := handle(in, now)
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
}

type messageJSON struct {
	MessageID     string `json:"MessageId"`
	ReceiptHandle string
	MD5OfBody     string
	Body          string
	Attributes    map[string]string `json:",omitempty"`
}

func messagesJSON(messages []*message, attributes []string) any {
	var answer struct {
		Messages []messageJSON `json:",omitempty"`
	}
	for _, m := range messages {
		answer.Messages = append(answer.Messages, messageJSON{m.id, m.receipt, md5Of(m.body), m.body, m.attributes(attributes)})
	}
	return answer
}

// sqsJSONProtocol tells errors by a header too, as SQS does for clients of the Query
// protocol's time.
func sqsJSONProtocol() protocol {
	p := jsonProtocol("sqs")
	p.content = "application/x-amz-json-1.0"
	p.failure = func(e *apiError, _ string) any {
		return jsonErrorBody{Type: "com.amazonaws.sqs#" + e.code, Message: e.message}
	}
	p.header = func(h http.Header, e *apiError) {
		h.Set("x-amzn-query-error", fmt.Sprintf("%s;Sender", e.inQuery()))
	}
	return p
}
