// Package launcher adapts the fast loop to gRPC: it serves LauncherService
// (proto/slipway/v1) from an allocate.Allocator and converts errors once, at the wire.
package launcher

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/allocate"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// Bounds on one call; see decode.go for those on a pod.
const (
	MaxPodsPerCall     = 1000
	MaxMessageBytes    = 16 << 20
	reservationsAtOnce = 500 // in one message of a stream
)

// Reserver is what the service needs of the fast loop; *allocate.Allocator is one.
type Reserver interface {
	Reserve(ctx context.Context, pods []*corev1.Pod) ([]allocate.Verdict, error)
	Release(ctx context.Context, releases []allocate.Release) error
	Watch(ctx context.Context) ([]allocate.Reservation, <-chan []allocate.Reservation, error)
	Running() <-chan struct{}
}

// Service implements LauncherService.
type Service struct {
	slipwayv1.UnimplementedLauncherServiceServer
	reserver Reserver
}

// NewService returns the service of a fast loop. Until that runs, that is, on all but
// the leader, every call is answered with codes.Unavailable.
func NewService(r Reserver) *Service { return &Service{reserver: r} }

func (s *Service) ready() error {
	select {
	case <-s.reserver.Running():
		return nil
	default:
		return status.Error(codes.Unavailable, "this launcher is not the leader")
	}
}

// ReservePods implements LauncherService.
func (s *Service) ReservePods(ctx context.Context, req *slipwayv1.ReservePodsRequest) (*slipwayv1.ReservePodsResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	pods, err := decode(req.GetPods())
	if err != nil {
		return nil, err
	}
	verdicts, err := s.reserver.Reserve(ctx, pods)
	if err != nil {
		return nil, wireError(err)
	}
	resp := &slipwayv1.ReservePodsResponse{}
	for _, v := range verdicts {
		resp.Answers = append(resp.Answers, &slipwayv1.Answer{PodUid: string(v.Pod), Code: codesByVerdict[v.Code], Reason: v.Reason})
	}
	return resp, nil
}

// ReleasePods implements LauncherService.
func (s *Service) ReleasePods(ctx context.Context, req *slipwayv1.ReleasePodsRequest) (*slipwayv1.ReleasePodsResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if n := len(req.GetReleases()); n > MaxPodsPerCall {
		return nil, status.Errorf(codes.InvalidArgument, "releases: %d in one call, at most %d are allowed", n, MaxPodsPerCall)
	}
	var releases []allocate.Release
	for i, r := range req.GetReleases() {
		if r.GetPodUid() == "" {
			return nil, status.Errorf(codes.InvalidArgument, "releases[%d].pod_uid: required", i)
		}
		releases = append(releases, allocate.Release{Pod: types.UID(r.GetPodUid()), Claim: r.GetClaim(), Reason: r.GetReason()})
	}
	if err := s.reserver.Release(ctx, releases); err != nil {
		return nil, wireError(err)
	}
	return &slipwayv1.ReleasePodsResponse{}, nil
}

// WatchReservations implements LauncherService.
func (s *Service) WatchReservations(_ *slipwayv1.WatchReservationsRequest, stream grpc.ServerStreamingServer[slipwayv1.WatchReservationsResponse]) error {
	if err := s.ready(); err != nil {
		return err
	}
	snapshot, changes, err := s.reserver.Watch(stream.Context())
	if err != nil {
		return wireError(err)
	}
	for {
		n := min(len(snapshot), reservationsAtOnce)
		last := n == len(snapshot)
		msg := &slipwayv1.WatchReservationsResponse{Snapshot: true, SnapshotComplete: last, Reservations: onWire(snapshot[:n])}
		if err := stream.Send(msg); err != nil {
			return err
		}
		if last {
			break
		}
		snapshot = snapshot[n:]
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case batch, ok := <-changes:
			if !ok {
				return status.Error(codes.Unavailable, "the stream fell behind or the launcher stops; watch again")
			}
			for len(batch) > 0 {
				n := min(len(batch), reservationsAtOnce)
				if err := stream.Send(&slipwayv1.WatchReservationsResponse{Reservations: onWire(batch[:n])}); err != nil {
					return err
				}
				batch = batch[n:]
			}
		}
	}
}

var codesByVerdict = map[allocate.VerdictCode]slipwayv1.Answer_Code{
	allocate.Accepted:        slipwayv1.Answer_CODE_ACCEPTED,
	allocate.AlreadyReserved: slipwayv1.Answer_CODE_ALREADY_RESERVED,
	allocate.Refused:         slipwayv1.Answer_CODE_REFUSED,
}

var phases = map[allocate.Phase]slipwayv1.Reservation_Phase{
	allocate.Waiting:      slipwayv1.Reservation_PHASE_WAITING,
	allocate.Planned:      slipwayv1.Reservation_PHASE_PLANNED,
	allocate.Launched:     slipwayv1.Reservation_PHASE_LAUNCHED,
	allocate.Ready:        slipwayv1.Reservation_PHASE_READY,
	allocate.Unlaunchable: slipwayv1.Reservation_PHASE_UNLAUNCHABLE,
	allocate.Ended:        slipwayv1.Reservation_PHASE_ENDED,
}

func onWire(reservations []allocate.Reservation) []*slipwayv1.Reservation {
	wire := make([]*slipwayv1.Reservation, 0, len(reservations))
	for _, r := range reservations {
		wire = append(wire, &slipwayv1.Reservation{
			PodUid: string(r.UID), PodNamespace: r.Pod.Namespace, PodName: r.Pod.Name,
			Phase: phases[r.Phase], Claim: r.Claim, NodeName: r.NodeName,
			InstanceType: r.InstanceType, Zone: r.Zone, CapacityType: r.CapacityType, Price: r.Price, Reason: r.Reason,
			WaitingSince: timeOnWire(r.Since), Batch: r.Batch, ExpectedReady: timeOnWire(r.ExpectedReady), Held: r.Held,
		})
	}
	return wire
}

// timeOnWire leaves out the zero time.
func timeOnWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// wireError: the only error a fast loop returns is that it does not run (any more).
func wireError(err error) error {
	if s := status.FromContextError(err); s.Code() != codes.Unknown {
		return s.Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}
