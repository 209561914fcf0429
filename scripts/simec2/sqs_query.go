package simec2

import (
	"context"
	"encoding/xml"
	"maps"
	"slices"
	"time"
)

const sqsVersion = "2012-11-05"

func sqsQueryProtocol() protocol {
	return protocol{service: "sqs", content: "text/xml", encode: encodeXML, failure: func(e *apiError, id string) any {
		return sqsErrorBody{Type: "Sender", Code: e.inQuery(), Message: e.message, RequestID: id}
	}}
}

type sqsErrorBody struct {
	XMLName   xml.Name `xml:"http://queue.amazonaws.com/doc/2012-11-05/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

type queueURLAnswer struct {
	XMLName   xml.Name `xml:"http://queue.amazonaws.com/doc/2012-11-05/ GetQueueUrlResponse"`
	QueueURL  string   `xml:"GetQueueUrlResult>QueueUrl"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

type receiveAnswer struct {
	XMLName   xml.Name     `xml:"http://queue.amazonaws.com/doc/2012-11-05/ ReceiveMessageResponse"`
	Messages  []messageXML `xml:"ReceiveMessageResult>Message"`
	RequestID string       `xml:"ResponseMetadata>RequestId"`
}

type messageXML struct {
	ID         string         `xml:"MessageId"`
	Receipt    string         `xml:"ReceiptHandle"`
	MD5        string         `xml:"MD5OfBody"`
	Body       string         `xml:"Body"`
	Attributes []attributeXML `xml:"Attribute"`
}

type attributeXML struct{ Name, Value string }

type deleteBatchAnswer struct {
	XMLName   xml.Name `xml:"http://queue.amazonaws.com/doc/2012-11-05/ DeleteMessageBatchResponse"`
	IDs       []string `xml:"DeleteMessageBatchResult>DeleteMessageBatchResultEntry>Id"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// parseSQS reads a request of SQS in its Query protocol. The input is read at once, so
// that a long poll is known before it is served.
func (s *Server) parseSQS(p *params, action, auth string) *request {
	req := &request{protocol: sqsQueryProtocol(), action: action, auth: auth, params: p}
	q := s.region.queue
	switch action {
	case "GetQueueUrl":
		in := getQueueURLInput{QueueName: p.required("QueueName"), QueueOwnerAWSAccountID: p.str("QueueOwnerAWSAccountId")}
		req.serve = checked(p, func(_ time.Time, id string) (any, *apiError) {
			url, err := q.getURL(in)
			return &queueURLAnswer{QueueURL: url, RequestID: id}, err
		})
	case "ReceiveMessage":
		in := receiveInput{
			QueueURL: p.required("QueueUrl"), AttributeNames: p.list("AttributeName"),
			MaxNumberOfMessages: p.number("MaxNumberOfMessages"), WaitTimeSeconds: p.number("WaitTimeSeconds"), VisibilityTimeout: p.number("VisibilityTimeout"),
		}
		req.wait = func(ctx context.Context) bool { return s.await(ctx, in) }
		req.serve = checked(p, func(now time.Time, id string) (any, *apiError) {
			if err := in.complete(q); err != nil {
				return nil, err
			}
			return receiveXML(q.serveReceive(in, now), in.MessageSystemAttributeNames, id), nil
		})
	case "DeleteMessageBatch":
		in := deleteInput{QueueURL: p.required("QueueUrl")}
		for _, e := range p.structs("DeleteMessageBatchRequestEntry") {
			in.Entries = append(in.Entries, deleteEntry{e.str("Id"), e.str("ReceiptHandle")})
		}
		req.serve = checked(p, func(_ time.Time, id string) (any, *apiError) {
			ids, err := q.deleteBatch(in)
			return &deleteBatchAnswer{IDs: ids, RequestID: id}, err
		})
	default:
		req.serve = func(time.Time, string) (any, *apiError) {
			return nil, refuse("InvalidAction", "The action %s of SQS is not simulated", action)
		}
	}
	return req
}

// checked refuses what was not understood of a request before it is served.
func checked(p *params, serve func(time.Time, string) (any, *apiError)) func(time.Time, string) (any, *apiError) {
	return func(now time.Time, id string) (any, *apiError) {
		if err := p.finish(); err != nil {
			return nil, err
		}
		answer, err := serve(now, id)
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
}

// number is integer for what has no default here.
func (p *params) number(name string) *int {
	if !p.has(name) {
		return nil
	}
	n := p.integer(name, 0, 0, maxVisibility)
	return &n
}

func receiveXML(messages []*message, attributes []string, id string) *receiveAnswer {
	answer := &receiveAnswer{RequestID: id}
	for _, m := range messages {
		x := messageXML{ID: m.id, Receipt: m.receipt, MD5: md5Of(m.body), Body: m.body}
		values := m.attributes(attributes)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			x.Attributes = append(x.Attributes, attributeXML{name, values[name]})
		}
		answer.Messages = append(answer.Messages, x)
	}
	return answer
}
