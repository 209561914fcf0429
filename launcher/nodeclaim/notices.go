package nodeclaim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

// Notices is where the cloud says what will happen to instances. ec2.Queue is one.
type Notices interface {
	// Receive waits some seconds for messages and returns a few. They come again, later,
	// unless they are deleted.
	Receive(ctx context.Context) ([]cloud.Message, error)
	// Delete deletes messages that came with one call of Receive, by their receipts.
	Delete(ctx context.Context, receipts []string) error
}

const (
	// readers is how many calls of Receive are under way at once. All messages of one are
	// handled at the same time.
	readers = 4
	// heedTimeout bounds the handling of one message, so that a failure is known before
	// the message comes again.
	heedTimeout = 10 * time.Second
	// readPause is how long a reader waits after a failure; it doubles up to readPauseMost.
	readPause     = time.Second
	readPauseMost = 30 * time.Second
)

// Outcomes of messages.
const (
	outcomeHeeded    = "heeded"
	outcomeIgnored   = "ignored" // of an instance that is not ours, or calls for nothing
	outcomeMalformed = "malformed"
	outcomeForeign   = "foreign"
	outcomeFailed    = "failed" // comes again
)

// noticeReader hands the cloud's notices to the interrupter. No message holds up the
// others: those that are no notices are dropped and counted, and those that cannot be
// heeded now come again.
type noticeReader struct {
	notices Notices
	heed    func(context.Context, cloud.Notice) (heeded bool, err error)
	clock   clock.Clock
	metrics *metrics
	log     logr.Logger
}

// Start reads until ctx ends.
func (r *noticeReader) Start(ctx context.Context) error {
	ctx = log.IntoContext(ctx, r.log)
	var running sync.WaitGroup
	for range readers {
		running.Go(func() { r.read(ctx) })
	}
	running.Wait()
	return nil
}

func (r *noticeReader) read(ctx context.Context) {
	pause := readPause
	for ctx.Err() == nil {
		err := r.readOnce(ctx)
		if err == nil || ctx.Err() != nil {
			pause = readPause
			continue
		}
		r.metrics.noticeErrors.Inc()
		r.log.Error(err, "cannot read the cloud's notices, will retry", "in", pause.String())
		select {
		case <-r.clock.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, readPauseMost)
	}
}

// readOnce takes some messages, and deletes those that are done with.
func (r *noticeReader) readOnce(ctx context.Context) error {
	messages, err := r.notices.Receive(ctx)
	if err != nil {
		return err
	}
	outcomes := make([]string, len(messages))
	var handling sync.WaitGroup
	for i := range messages {
		handling.Go(func() { outcomes[i] = r.handle(ctx, messages[i]) })
	}
	handling.Wait()
	var done []string
	for i, m := range messages {
		kind := string(m.Kind)
		if m.Err != nil {
			kind = "none"
		}
		r.metrics.notices.WithLabelValues(kind, outcomes[i]).Inc()
		if outcomes[i] != outcomeFailed {
			done = append(done, m.Receipt)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return r.notices.Delete(ctx, done)
}

func (r *noticeReader) handle(ctx context.Context, m cloud.Message) (outcome string) {
	switch {
	case errors.Is(m.Err, cloud.ErrForeign):
		r.log.V(1).Info("message dropped", "err", m.Err.Error())
		return outcomeForeign
	case m.Err != nil:
		r.log.Info("message dropped", "err", m.Err.Error())
		return outcomeMalformed
	}
	ctx, cancel := context.WithTimeout(ctx, heedTimeout)
	defer cancel()
	heeded, err := r.heed(ctx, m.Notice)
	switch {
	case err != nil:
		r.log.Error(err, "notice could not be heeded, it comes again", "kind", m.Kind, "instances", m.Instances)
		return outcomeFailed
	case !heeded:
		return outcomeIgnored
	}
	r.metrics.noticeAge.Observe(r.clock.Since(m.At).Seconds())
	return outcomeHeeded
}
