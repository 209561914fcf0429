package cloud

import (
	"errors"
	"time"
)

// Why a message of the cloud's queue is no notice.
var (
	// ErrMalformed: the message cannot be read.
	ErrMalformed = errors.New("malformed message")
	// ErrForeign: the message is of a kind that is nobody's business here.
	ErrForeign = errors.New("foreign message")
)

// NoticeKind is what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	// SpotInterruption: the cloud takes a spot instance back.
	SpotInterruption NoticeKind = "SpotInterruption"
	// RebalanceRecommendation: the cloud is likely to take a spot instance back.
	RebalanceRecommendation NoticeKind = "RebalanceRecommendation"
	// ReservationInterruption: the cloud takes an instance of a capacity reservation back.
	ReservationInterruption NoticeKind = "ReservationInterruption"
	// CapacityBlockEnd: the cloud takes all instances of a capacity block back, as its end is near.
	CapacityBlockEnd NoticeKind = "CapacityBlockEnd"
	// ScheduledChange: the machine under an instance is to be retired or restarted.
	ScheduledChange NoticeKind = "ScheduledChange"
	// StateChange: an instance is ending, or has ended.
	StateChange NoticeKind = "StateChange"
)

// Notice is what the cloud says will happen to instances, or has happened.
type Notice struct {
	Kind NoticeKind
	// Instances by id; none where the notice calls for nothing, as when one has started.
	Instances []string
	// At is when the cloud said so.
	At time.Time
	// EndsAt is when the instances end; zero where that is not known.
	EndsAt time.Time
}

// Message is a notice as it came from the cloud's queue.
type Message struct {
	Notice
	// Receipt is what the message is deleted by.
	Receipt string
	// Err says why there is no notice in it; it wraps ErrMalformed or ErrForeign.
	Err error
}
