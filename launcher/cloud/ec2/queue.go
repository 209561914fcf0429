package ec2

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

const (
	// batchSize is the most that SQS gives, or deletes, with one call.
	batchSize = 10
	// pollTime is how long SQS holds a call while the queue is empty; the most it does.
	pollTime = 20 * time.Second
	// hideFor is how long a message that was received is kept from other receivers. One
	// that could not be handled comes again after it: early enough within two minutes.
	hideFor = 15 * time.Second
	// urlMaxAge is how long the queue's URL is held to be right. It changes when the queue
	// is made anew.
	urlMaxAge = time.Hour
)

// Queue reads the SQS queue that EventBridge sends notices about instances to. It is safe
// for concurrent use.
type Queue struct {
	name string
	sqs  *sqs.Client
	url  *cached[string]
}

// Queue returns the queue of that name, in the provider's account and region. It calls
// nothing yet.
func (p *Provider) Queue(name string) *Queue {
	q := &Queue{name: name, sqs: sqs.NewFromConfig(p.aws)}
	q.url = newCached("queue URL", p.cfg.Clock, p.metrics, q.readURL)
	return q
}

func (q *Queue) readURL(ctx context.Context) (string, error) {
	out, err := q.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(q.name)})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.QueueUrl), nil
}

// Receive returns up to ten messages; none when no one came for 20 seconds. They come
// again, later, unless they are deleted.
func (q *Queue) Receive(ctx context.Context) ([]cloud.Message, error) {
	url, err := q.url.get(ctx, urlMaxAge)
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", q.name, err)
	}
	out, err := q.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(url), MaxNumberOfMessages: batchSize,
		WaitTimeSeconds: int32(pollTime / time.Second), VisibilityTimeout: int32(hideFor / time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("queue %s: receive: %w", q.name, err)
	}
	messages := make([]cloud.Message, len(out.Messages))
	for i, m := range out.Messages {
		messages[i].Receipt = aws.ToString(m.ReceiptHandle)
		messages[i].Notice, messages[i].Err = parseEvent(aws.ToString(m.Body))
	}
	return messages, nil
}

// Delete deletes messages, at most ten, by their receipts. Those that it fails for come again.
func (q *Queue) Delete(ctx context.Context, receipts []string) error {
	if len(receipts) == 0 {
		return nil
	}
	url, err := q.url.get(ctx, urlMaxAge)
	if err != nil {
		return fmt.Errorf("queue %s: %w", q.name, err)
	}
	entries := make([]sqstypes.DeleteMessageBatchRequestEntry, len(receipts))
	for i, receipt := range receipts {
		entries[i] = sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(receipt)}
	}
	out, err := q.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(url), Entries: entries})
	if err != nil {
		return fmt.Errorf("queue %s: delete: %w", q.name, err)
	}
	if len(out.Failed) > 0 {
		f := out.Failed[0]
		return fmt.Errorf("queue %s: %d of %d messages were not deleted: %s: %s",
			q.name, len(out.Failed), len(receipts), aws.ToString(f.Code), aws.ToString(f.Message))
	}
	return nil
}
