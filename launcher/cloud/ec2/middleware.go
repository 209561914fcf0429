package ec2

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/cloud"
)

const (
	callTimeout   = 10 * time.Second
	launchTimeout = 30 * time.Second // CreateFleet of type instant answers when all is decided
	maxAttempts   = 4
	maxBackoff    = 3 * time.Second
)

// timeout returns how long EC2 may take to answer.
func timeout(operation string) time.Duration {
	switch operation {
	case "CreateFleet":
		return launchTimeout
	case "ReceiveMessage":
		return pollTime + callTimeout
	}
	return callTimeout
}

// calls is what every call of AWS goes through.
type calls struct {
	clock   clock.Clock
	metrics *metrics
	buckets *buckets
	decoder *decoder
}

// instrument returns the configuration with deadlines, token buckets, metrics, typed errors and,
// unless it says how to retry, bounded retries for every call of every client made from it.
func (c *calls) instrument(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	if cfg.Retryer == nil {
		cfg.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = maxAttempts
				o.MaxBackoff = maxBackoff
			})
		}
	}
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("slipway:Type", c.giveMeaning), middleware.After); err != nil {
			return err
		}
		// After the retry loop: each attempt waits for its turn and is bounded.
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("slipway:Attempt", c.attempt), middleware.After)
	})
	return cfg
}

// giveMeaning wraps a call's error.
func (c *calls) giveMeaning(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleInitialize(ctx, in)
	if err != nil {
		err = c.decoder.typed(ctx, awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx), err)
	}
	return out, metadata, err
}

// attempt makes one request when it is its turn, and counts it. An attempt that is not
// answered in time is not made again.
func (c *calls) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	operation := awsmiddleware.GetOperationName(ctx)
	limited := awsmiddleware.GetServiceID(ctx) == "EC2"
	if limited {
		if err := c.buckets.draw(ctx, operation, 1); err != nil {
			return out, metadata, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout(operation))
	defer cancel()
	start := c.clock.Now()
	out, metadata, err = next.HandleFinalize(ctx, in)
	code := codeOf(err)
	if limited && errors.Is(kind(code), cloud.ErrThrottled) {
		c.buckets.drain(operation)
	}
	c.metrics.count(operation, code, c.clock.Since(start))
	return out, metadata, err
}

// metrics counts what is asked of AWS. A nil *metrics counts nothing.
type metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	loadedAt *prometheus.GaugeVec
	standIns *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_cloud_api_calls_total",
			Help: "Calls to the cloud's APIs, retries included, by operation and error code (OK when there was none).",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slipway_cloud_api_call_duration_seconds",
			Help:    "How long calls to the cloud's APIs took, each retry on its own.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 13),
		}, []string{"operation"}),
		loadedAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_cloud_data_loaded_timestamp_seconds",
			Help: "When data kept from the cloud was last read; of what is built in, the day it is of.",
		}, []string{"what"}),
		standIns: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_cloud_data_substituted",
			Help: "1 while data of the cloud could not be read since the start, and what is built in is used, or on-demand prices for spot ones.",
		}, []string{"what"}),
	}
	for _, c := range []prometheus.Collector{m.calls, m.duration, m.loadedAt, m.standIns} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(operation, code string, took time.Duration) {
	if m != nil {
		m.calls.WithLabelValues(operation, code).Inc()
		m.duration.WithLabelValues(operation).Observe(took.Seconds())
	}
}

func (m *metrics) loaded(what string, at time.Time) {
	if m != nil {
		m.loadedAt.WithLabelValues(what).Set(float64(at.Unix()))
	}
}

// substituted notes whether something else is used for what could not be read.
func (m *metrics) substituted(what string, yes bool) {
	if m == nil {
		return
	}
	value := 0.0
	if yes {
		value = 1
	}
	m.standIns.WithLabelValues(what).Set(value)
}

// codeOf is the label for an outcome.
func codeOf(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "Timeout"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	default:
		return "Unreachable"
	}
}
