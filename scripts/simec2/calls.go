package simec2

import "time"

// Call is one API call as it was received and answered.
type Call struct {
	Time       time.Time `json:"time"`
	Service    string    `json:"service"`
	Action     string    `json:"action"`
	Error      string    `json:"error,omitempty"` // the AWS error code of the answer
	ParamsHash string    `json:"paramsHash"`
	// ClientToken and InstanceIDs are those of EC2 calls: the instances named
	// in a request, or launched by it.
	ClientToken string   `json:"clientToken,omitempty"`
	InstanceIDs []string `json:"instanceIds,omitempty"`
}

// callLog keeps the last size calls.
type callLog struct {
	size int
	ring []Call
	next int // where the oldest is, once the ring is full
}

func (l *callLog) add(c Call) {
	if len(l.ring) < l.size {
		l.ring = append(l.ring, c)
		return
	}
	l.ring[l.next] = c
	l.next = (l.next + 1) % l.size
}

func (l *callLog) all() []Call {
	out := make([]Call, 0, len(l.ring))
	out = append(out, l.ring[l.next:]...)
	return append(out, l.ring[:l.next]...)
}
