// Package launchertest owns a launcher for tests of the scheduler's side: a real gRPC
// server with mutual TLS on 127.0.0.1, which accepts every pod, keeps a list of
// reservations and says what the test tells it to.
package launchertest

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	v1 "k8s.io/api/core/v1"

	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// Launcher is a launcher that buys nothing.
type Launcher struct {
	slipwayv1.UnimplementedLauncherServiceServer
	t         testing.TB
	authority *Authority

	// OnReserve, if set before Start, answers ReservePods in the launcher's place unless
	// it returns nil for both.
	OnReserve func(pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error)

	mu           sync.Mutex
	address      string
	server       *grpc.Server
	health       *health.Server
	served       chan struct{}
	reservations map[string]*slipwayv1.Reservation
	pods         []*v1.Pod
	calls        int
	releases     []*slipwayv1.Release
	watchers     map[chan *slipwayv1.Reservation]struct{}
	cut          chan struct{}
	changed      chan struct{}
}

// New returns a launcher that is stopped at the end of the test. Start starts it.
func New(t testing.TB, authority *Authority) *Launcher {
	t.Helper()
	l := &Launcher{
		t: t, authority: authority, reservations: map[string]*slipwayv1.Reservation{},
		watchers: map[chan *slipwayv1.Reservation]struct{}{}, cut: make(chan struct{}), changed: make(chan struct{}),
	}
	listener := l.listen("127.0.0.1:0")
	l.address = listener.Addr().String()
	_ = listener.Close()
	t.Cleanup(l.Stop)
	return l
}

func (l *Launcher) listen(address string) net.Listener {
	l.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		l.t.Fatal(err)
	}
	return listener
}

// Address is where the launcher serves, whether it is started or not.
func (l *Launcher) Address() string { return l.address }

// Start serves as the leader.
func (l *Launcher) Start() {
	l.t.Helper()
	listener := l.listen(l.address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(l.authority.serverTLS())), grpc.MaxRecvMsgSize(16<<20))
	l.health = health.NewServer()
	l.health.SetServingStatus(slipwayv1.LauncherService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	slipwayv1.RegisterLauncherServiceServer(l.server, l)
	healthv1.RegisterHealthServer(l.server, l.health)
	served := make(chan struct{})
	l.served = served
	server := l.server
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
}

// Stop ends every connection at once. What is reserved stays.
func (l *Launcher) Stop() {
	l.mu.Lock()
	server, served := l.server, l.served
	l.server = nil
	l.mu.Unlock()
	if server != nil {
		server.Stop()
		<-served
	}
}

// Lead says whether the launcher reports that it serves.
func (l *Launcher) Lead(leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := healthv1.HealthCheckResponse_NOT_SERVING
	if leads {
		s = healthv1.HealthCheckResponse_SERVING
	}
	l.health.SetServingStatus(slipwayv1.LauncherService_ServiceDesc.ServiceName, s)
}

// CutStreams ends all streams of reservations.
func (l *Launcher) CutStreams() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.cut)
	l.cut = make(chan struct{})
}

// Publish changes reservations and tells the streams. One that has ended is forgotten.
func (l *Launcher) Publish(reservations ...*slipwayv1.Reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.publish(reservations...)
}

func (l *Launcher) publish(reservations ...*slipwayv1.Reservation) {
	for _, r := range reservations {
		l.reservations[r.GetPodUid()] = r
		if r.GetPhase() == slipwayv1.Reservation_PHASE_ENDED {
			delete(l.reservations, r.GetPodUid())
		}
		for w := range l.watchers {
			w <- r
		}
	}
	l.notify()
}

func (l *Launcher) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Pods returns every pod that was handed over, in order, and the number of calls.
func (l *Launcher) Pods() (pods []*v1.Pod, calls int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pods), l.calls
}

// Has tells whether there is a reservation for a pod.
func (l *Launcher) Has(uid string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reservations[uid] != nil
}

// Releases returns every release, in order.
func (l *Launcher) Releases() []*slipwayv1.Release {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.releases)
}

// WaitFor waits until cond holds. It is looked at whenever something has happened here.
func (l *Launcher) WaitFor(ctx context.Context, what string, cond func() bool) {
	l.t.Helper()
	for {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

// ReservePods implements slipwayv1.LauncherServiceServer.
func (l *Launcher) ReservePods(_ context.Context, req *slipwayv1.ReservePodsRequest) (*slipwayv1.ReservePodsResponse, error) {
	var pods []*v1.Pod
	for _, waiting := range req.GetPods() {
		pod := &v1.Pod{}
		if err := pod.Unmarshal(waiting.GetPod()); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		pods = append(pods, pod)
	}
	l.mu.Lock()
	l.pods = append(l.pods, pods...)
	l.calls++
	l.notify()
	l.mu.Unlock()
	if l.OnReserve != nil {
		if resp, err := l.OnReserve(pods); resp != nil || err != nil {
			return resp, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	resp := &slipwayv1.ReservePodsResponse{}
	for _, pod := range pods {
		uid := string(pod.UID)
		code := slipwayv1.Answer_CODE_ALREADY_RESERVED
		if l.reservations[uid] == nil {
			code = slipwayv1.Answer_CODE_ACCEPTED
			l.publish(&slipwayv1.Reservation{
				PodUid: uid, PodNamespace: pod.Namespace, PodName: pod.Name, Phase: slipwayv1.Reservation_PHASE_WAITING,
			})
		}
		resp.Answers = append(resp.Answers, &slipwayv1.Answer{PodUid: uid, Code: code})
	}
	return resp, nil
}

// ReleasePods implements slipwayv1.LauncherServiceServer.
func (l *Launcher) ReleasePods(_ context.Context, req *slipwayv1.ReleasePodsRequest) (*slipwayv1.ReleasePodsResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, release := range req.GetReleases() {
		l.releases = append(l.releases, release)
		if r := l.reservations[release.GetPodUid()]; r != nil && r.GetClaim() == release.GetClaim() {
			ended := proto.Clone(r).(*slipwayv1.Reservation)
			ended.Phase = slipwayv1.Reservation_PHASE_ENDED
			l.publish(ended)
		}
	}
	l.notify()
	return &slipwayv1.ReleasePodsResponse{}, nil
}

// WatchReservations implements slipwayv1.LauncherServiceServer.
func (l *Launcher) WatchReservations(_ *slipwayv1.WatchReservationsRequest, stream grpc.ServerStreamingServer[slipwayv1.WatchReservationsResponse]) error {
	changes := make(chan *slipwayv1.Reservation, 1<<16)
	l.mu.Lock()
	snapshot := &slipwayv1.WatchReservationsResponse{Snapshot: true, SnapshotComplete: true}
	for _, r := range l.reservations {
		snapshot.Reservations = append(snapshot.Reservations, r)
	}
	l.watchers[changes] = struct{}{}
	cut := l.cut
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, changes)
	}()
	if err := stream.Send(snapshot); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case <-cut:
			return status.Error(codes.Unavailable, "cut")
		case r := <-changes:
			if err := stream.Send(&slipwayv1.WatchReservationsResponse{Reservations: []*slipwayv1.Reservation{r}}); err != nil {
				return err
			}
		}
	}
}
