package launcher_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher"
	"github.com/slipway-dev/slipway/launcher/allocate"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
	"github.com/slipway-dev/slipway/scripts/devcluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reserver accepts every pod and plays back what the test tells it.
type reserver struct {
	running  chan struct{}
	snapshot []allocate.Reservation
	changes  chan []allocate.Reservation
	released []allocate.Release
}

func newReserver(leads bool) *reserver {
	r := &reserver{running: make(chan struct{}), changes: make(chan []allocate.Reservation, 1)}
	if leads {
		close(r.running)
	}
	return r
}

func (r *reserver) Running() <-chan struct{} { return r.running }

func (r *reserver) Reserve(_ context.Context, pods []*corev1.Pod) ([]allocate.Verdict, error) {
	var verdicts []allocate.Verdict
	for _, p := range pods {
		verdicts = append(verdicts, allocate.Verdict{Pod: p.UID, Code: allocate.Accepted})
	}
	return verdicts, nil
}

func (r *reserver) Release(_ context.Context, releases []allocate.Release) error {
	r.released = append(r.released, releases...)
	return nil
}

func (r *reserver) Watch(context.Context) ([]allocate.Reservation, <-chan []allocate.Reservation, error) {
	return r.snapshot, r.changes, nil
}

// serve runs the service in memory and returns a client.
func serve(t *testing.T, r *reserver) slipwayv1.LauncherServiceClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	slipwayv1.RegisterLauncherServiceServer(server, launcher.NewService(r))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return slipwayv1.NewLauncherServiceClient(conn)
}

func wirePod(t *testing.T, name string) *slipwayv1.WaitingPod {
	t.Helper()
	raw, err := (&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return &slipwayv1.WaitingPod{Pod: raw}
}

func TestReservePods(t *testing.T) {
	many := make([]*slipwayv1.WaitingPod, launcher.MaxPodsPerCall+1)
	for i := range many {
		many[i] = wirePod(t, "p")
	}
	for _, tt := range []struct {
		name  string
		leads bool
		pods  []*slipwayv1.WaitingPod
		code  codes.Code
		text  string
	}{
		{name: "accepted", leads: true, pods: []*slipwayv1.WaitingPod{wirePod(t, "a"), wirePod(t, "b")}},
		{name: "not the leader", pods: []*slipwayv1.WaitingPod{wirePod(t, "a")}, code: codes.Unavailable, text: "not the leader"},
		{name: "too many", leads: true, pods: many, code: codes.InvalidArgument, text: "pods: 1001 in one call, at most 1000"},
		{name: "not a pod", leads: true, pods: []*slipwayv1.WaitingPod{{Pod: []byte("nonsense")}}, code: codes.InvalidArgument, text: "pods[0].pod: not a v1.Pod"},
		{name: "no UID", leads: true, pods: []*slipwayv1.WaitingPod{wirePod(t, "a"), {}}, code: codes.InvalidArgument, text: "pods[1].pod: uid, name and namespace are required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := serve(t, newReserver(tt.leads)).ReservePods(t.Context(), &slipwayv1.ReservePodsRequest{Pods: tt.pods})
			if status.Code(err) != tt.code || !strings.Contains(status.Convert(err).Message(), tt.text) {
				t.Fatalf("error %v, want %s with %q", err, tt.code, tt.text)
			}
			if err == nil && len(resp.GetAnswers()) != len(tt.pods) {
				t.Errorf("%d answers to %d pods", len(resp.GetAnswers()), len(tt.pods))
			}
		})
	}
}

func TestReleasePods(t *testing.T) {
	r := newReserver(true)
	client := serve(t, r)
	if _, err := client.ReleasePods(t.Context(), &slipwayv1.ReleasePodsRequest{Releases: []*slipwayv1.Release{{}}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a release of no pod: %v", err)
	}
	if _, err := client.ReleasePods(t.Context(), &slipwayv1.ReleasePodsRequest{Releases: []*slipwayv1.Release{{PodUid: "a", Claim: "c", Reason: "why"}}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]allocate.Release{{Pod: "a", Claim: "c", Reason: "why"}}, r.released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
}

// TestWatchReservations: the snapshot comes in pieces of which the last is marked, then changes, then
// an end that tells the client to start over.
func TestWatchReservations(t *testing.T) {
	for _, n := range []int{0, 1, 500, 1201} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newReserver(true)
			for i := range n {
				r.snapshot = append(r.snapshot, allocate.Reservation{UID: types.UID(fmt.Sprint(i)), Phase: allocate.Planned})
			}
			stream, err := serve(t, r).WatchReservations(t.Context(), &slipwayv1.WatchReservationsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			for {
				msg, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if !msg.GetSnapshot() {
					t.Fatal("a change before the end of the snapshot")
				}
				got += len(msg.GetReservations())
				if msg.GetSnapshotComplete() {
					break
				}
			}
			if got != n {
				t.Errorf("%d reservations in the snapshot, want %d", got, n)
			}
			r.changes <- []allocate.Reservation{{UID: "x", Phase: allocate.Unlaunchable, Reason: "no room"}}
			msg, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if c := msg.GetReservations()[0]; c.GetPhase() != slipwayv1.Reservation_PHASE_UNLAUNCHABLE || c.GetReason() != "no room" {
				t.Errorf("change: %v", c)
			}
			close(r.changes)
			if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("end of the stream: %v", err)
			}
		})
	}
}

// TestServerStops: the server ends with its context, also with a watch open.
func TestServerStops(t *testing.T) {
	certs, err := devcluster.WriteCerts(t.TempDir(), "client", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server, err := launcher.NewServer("127.0.0.1:0", launcher.TLSFiles{CertFile: certs.Server.Cert, KeyFile: certs.Server.Key, ClientCAFile: certs.CAFile}, newReserver(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not stop")
	}
}

func TestNewServerRefuses(t *testing.T) {
	certs, err := devcluster.WriteCerts(t.TempDir(), "client", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.crt")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		files launcher.TLSFiles
		text  string
	}{
		{"no server certificate", launcher.TLSFiles{CertFile: "missing", KeyFile: certs.Server.Key, ClientCAFile: certs.CAFile}, "server certificate"},
		{"no client CA", launcher.TLSFiles{CertFile: certs.Server.Cert, KeyFile: certs.Server.Key, ClientCAFile: "missing"}, "client CA"},
		{"an empty client CA", launcher.TLSFiles{CertFile: certs.Server.Cert, KeyFile: certs.Server.Key, ClientCAFile: empty}, "holds no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := launcher.NewServer("127.0.0.1:0", tt.files, newReserver(true))
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %q", err, tt.text)
			}
		})
	}
}
