package simec2

import (
	"time"

	"golang.org/x/time/rate"
)

// bucket is a token bucket's published size and refill.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
type bucket struct {
	size      int
	perSecond float64
}

// requestBucket names the bucket an EC2 request draws from. The describing
// calls of the network and of images share neither bucket here nor at AWS; a
// DescribeInstances that neither filters nor pages has a smaller one.
func requestBucket(action string, narrowed bool) (name string, b bucket) {
	switch action {
	case "CreateFleet":
		return action, bucket{50, 5}
	case "TerminateInstances":
		return action, bucket{100, 5}
	case "CreateTags":
		return action, bucket{100, 10}
	case "CreateLaunchTemplate", "DeleteLaunchTemplate":
		return action, bucket{100, 5}
	case "DescribeInstances":
		if !narrowed {
			return action + "/unfiltered", bucket{50, 10}
		}
	}
	return action, bucket{100, 20}
}

// resourceBucket limits the instances named in requests, beside the requests.
func resourceBucket(action string) (bucket, bool) {
	if action == "TerminateInstances" {
		return bucket{1000, 20}, true
	}
	return bucket{}, false
}

// throttle holds the buckets drawn from so far.
type throttle struct {
	off     bool
	buckets map[string]*rate.Limiter
}

func newThrottle(off bool) *throttle {
	return &throttle{off: off, buckets: map[string]*rate.Limiter{}}
}

// allow draws n tokens at once or none.
func (t *throttle) allow(name string, b bucket, n int, now time.Time) bool {
	if t.off {
		return true
	}
	l, ok := t.buckets[name]
	if !ok {
		l = rate.NewLimiter(rate.Limit(b.perSecond), b.size)
		t.buckets[name] = l
	}
	return l.AllowN(now, n)
}
