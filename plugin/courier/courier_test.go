package courier_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/courier"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
	"github.com/slipway-dev/slipway/plugin/ledger"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record is a sink and an observer that remembers.
type record struct {
	mu      sync.Mutex
	resyncs [][]ledger.Update
	updates []ledger.Update
	rpcs    []string
	length  int
	changed chan struct{}
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

func (r *record) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) Resync(all []ledger.Update) { r.note(func() { r.resyncs = append(r.resyncs, all) }) }
func (r *record) Apply(u []ledger.Update)    { r.note(func() { r.updates = append(r.updates, u...) }) }
func (r *record) RPC(method, code string) {
	r.note(func() { r.rpcs = append(r.rpcs, method+" "+code) })
}
func (r *record) QueueLength(n int) { r.note(func() { r.length = n }) }

func (r *record) waitFor(ctx context.Context, t *testing.T, what string, cond func() bool) {
	t.Helper()
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v; rpcs %v, updates %v", what, ctx.Err(), r.rpcs, r.updates)
		}
	}
}

// count returns how often an update of a phase came for a pod.
func (r *record) count(uid types.UID, phase ledger.Phase) int {
	n := 0
	for _, u := range r.updates {
		if u.Ref.UID == uid && u.Phase == phase {
			n++
		}
	}
	return n
}

// timeouts returns how many calls to reserve pods timed out.
func (r *record) timeouts() int {
	n := 0
	for _, rpc := range r.rpcs {
		if rpc == "ReservePods DeadlineExceeded" {
			n++
		}
	}
	return n
}

type fixture struct {
	ctx      context.Context
	launcher *launchertest.Launcher
	record   *record
	courier  *courier.Courier
	files    courier.Files
}

func setup(t *testing.T, change func(*launchertest.Launcher, *courier.Config)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	authority := launchertest.NewAuthority(t)
	f := &fixture{ctx: ctx, launcher: launchertest.New(t, authority), record: newRecord(), files: authority.WriteFiles(t.TempDir())}
	cfg := courier.Config{
		Address: f.launcher.Address(), TLS: f.files, CallTimeout: 5 * time.Second, QueueLimit: 5000,
		MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		Clock: clock.RealClock{}, Sink: f.record, Observer: f.record,
	}
	if change != nil {
		change(f.launcher, &cfg)
	}
	var err error
	if f.courier, err = courier.New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs the courier until the test ends.
func (f *fixture) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.courier.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func (f *fixture) reserve(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := f.courier.Reserve(pod(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func pod(name string) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{
		UID: types.UID(name), Namespace: "ns", Name: name,
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
}

func (f *fixture) accepted(t *testing.T, uid types.UID) {
	t.Helper()
	f.record.waitFor(f.ctx, t, "an answer for "+string(uid), func() bool { return f.record.count(uid, ledger.PhaseAccepted) > 0 })
}

func TestReserve(t *testing.T) {
	f := setup(t, nil)
	f.launcher.Start()
	f.run(t)
	f.reserve(t, "a")
	f.accepted(t, "a")
	pods, _ := f.launcher.Pods()
	want := pod("a")
	want.ManagedFields = nil
	if diff := cmp.Diff([]*v1.Pod{want}, pods); diff != "" {
		t.Errorf("pods that arrived (-want +got):\n%s", diff)
	}
	f.record.waitFor(f.ctx, t, "an empty queue", func() bool { return f.record.length == 0 })
}

// TestBatches: what comes while a call is under way makes up the next one.
func TestBatches(t *testing.T) {
	begun, proceed := make(chan struct{}, 1), make(chan struct{})
	f := setup(t, func(l *launchertest.Launcher, _ *courier.Config) {
		l.OnReserve = func(pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
			if pods[0].Name == "first" {
				begun <- struct{}{}
				<-proceed
			}
			return nil, nil
		}
	})
	f.launcher.Start()
	f.run(t)
	f.reserve(t, "first")
	<-begun
	for i := range 1500 {
		f.reserve(t, fmt.Sprint("pod-", i))
	}
	f.courier.Drop("pod-7")
	close(proceed)
	f.accepted(t, "pod-1499")
	pods, calls := f.launcher.Pods()
	if len(pods) != 1500 || calls != 3 {
		t.Errorf("%d pods came in %d calls, want 1500 in 3", len(pods), calls)
	}
	if slices.ContainsFunc(pods, func(p *v1.Pod) bool { return p.Name == "pod-7" }) {
		t.Error("a pod that was dropped was sent")
	}
}

func TestQueueLimit(t *testing.T) {
	f := setup(t, func(_ *launchertest.Launcher, c *courier.Config) { c.QueueLimit = 2 })
	f.reserve(t, "a", "b", "a")
	if err := f.courier.Reserve(pod("c")); !errors.Is(err, courier.ErrQueueFull) {
		t.Errorf("Reserve: %v, want ErrQueueFull", err)
	}
	f.courier.Drop("a")
	f.reserve(t, "c")
	if err := f.courier.Release(make([]ledger.Release, 3)...); !errors.Is(err, courier.ErrQueueFull) {
		t.Errorf("Release: %v, want ErrQueueFull", err)
	}
}

// TestDown: pods are kept until there is a launcher, and one that is leading.
func TestDown(t *testing.T) {
	f := setup(t, func(_ *launchertest.Launcher, c *courier.Config) { c.CallTimeout = 50 * time.Millisecond })
	f.run(t)
	f.reserve(t, "a")
	f.record.waitFor(f.ctx, t, "two failures", func() bool { return f.record.timeouts() >= 2 })
	f.launcher.Start()
	f.accepted(t, "a")

	f.launcher.Lead(false)
	// The news that it does not lead any more may come after a few more calls.
	before, last := f.record.timeouts(), ""
	for i := 0; f.record.timeouts() == before; i++ {
		last = fmt.Sprintf("b%d", i)
		f.reserve(t, last)
		f.record.waitFor(f.ctx, t, "an end of "+last, func() bool {
			return f.record.count(types.UID(last), ledger.PhaseAccepted) > 0 || f.record.timeouts() > before
		})
	}
	_, calls := f.launcher.Pods()
	failed := f.record.timeouts()
	f.record.waitFor(f.ctx, t, "failures without a leader", func() bool { return f.record.timeouts() > failed+1 })
	if _, now := f.launcher.Pods(); now > calls+1 {
		t.Errorf("%d calls reached a launcher that does not lead", now-calls)
	}
	f.launcher.Lead(true)
	f.accepted(t, types.UID(last))
}

// TestSlow: a call that takes too long is tried again.
func TestSlow(t *testing.T) {
	var calls atomic.Int32
	release := make(chan struct{})
	f := setup(t, func(l *launchertest.Launcher, c *courier.Config) {
		c.CallTimeout = 300 * time.Millisecond
		l.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
			if calls.Add(1) == 1 {
				<-release
			}
			return nil, nil
		}
	})
	t.Cleanup(func() { close(release) })
	f.launcher.Start()
	f.run(t)
	f.reserve(t, "a")
	f.accepted(t, "a")
	if !slices.Contains(f.record.rpcs, "ReservePods DeadlineExceeded") {
		t.Errorf("rpcs are %v, want one that timed out", f.record.rpcs)
	}
}

func TestRefusals(t *testing.T) {
	answer := func(code slipwayv1.Answer_Code, names ...string) *slipwayv1.ReservePodsResponse {
		resp := &slipwayv1.ReservePodsResponse{}
		for _, name := range names {
			resp.Answers = append(resp.Answers, &slipwayv1.Answer{PodUid: name, Code: code, Reason: "because"})
		}
		return resp
	}
	for _, tc := range []struct {
		name      string
		onReserve func(call int, pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error)
		want      map[types.UID]ledger.Phase
	}{
		{
			name: "refused",
			onReserve: func(int, []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
				resp := answer(slipwayv1.Answer_CODE_REFUSED, "a")
				resp.Answers = append(resp.Answers, answer(slipwayv1.Answer_CODE_ALREADY_RESERVED, "b", "c").Answers...)
				return resp, nil
			},
			want: map[types.UID]ledger.Phase{"a": ledger.PhaseRefused, "b": ledger.PhaseAccepted, "c": ledger.PhaseAccepted},
		},
		{
			name: "one pod spoils the batch",
			onReserve: func(_ int, pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
				if slices.ContainsFunc(pods, func(p *v1.Pod) bool { return p.Name == "b" }) {
					return nil, status.Error(codes.InvalidArgument, "not b")
				}
				return nil, nil
			},
			want: map[types.UID]ledger.Phase{"a": ledger.PhaseAccepted, "b": ledger.PhaseRefused, "c": ledger.PhaseAccepted},
		},
		{
			name: "an answer is missing",
			onReserve: func(call int, _ []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
				if call == 1 {
					return answer(slipwayv1.Answer_CODE_ACCEPTED, "a", "c"), nil
				}
				return nil, nil
			},
			want: map[types.UID]ledger.Phase{"a": ledger.PhaseAccepted, "b": ledger.PhaseAccepted, "c": ledger.PhaseAccepted},
		},
		{
			name: "an error that passes",
			onReserve: func(call int, _ []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
				if call < 3 {
					return nil, status.Error(codes.ResourceExhausted, "slow down")
				}
				return nil, nil
			},
			want: map[types.UID]ledger.Phase{"a": ledger.PhaseAccepted, "b": ledger.PhaseAccepted, "c": ledger.PhaseAccepted},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			call := 0
			f := setup(t, func(l *launchertest.Launcher, _ *courier.Config) {
				l.OnReserve = func(pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
					call++
					return tc.onReserve(call, pods)
				}
			})
			f.reserve(t, "a", "b", "c")
			f.launcher.Start()
			f.run(t)
			for uid, phase := range tc.want {
				f.record.waitFor(f.ctx, t, "the answer for "+string(uid), func() bool { return f.record.count(uid, phase) == 1 })
			}
			f.record.waitFor(f.ctx, t, "an empty queue", func() bool { return f.record.length == 0 })
		})
	}
}

// TestReleaseComesFirst: a pod may be released and handed over again.
func TestReleaseComesFirst(t *testing.T) {
	var before atomic.Int32
	f := setup(t, func(l *launchertest.Launcher, _ *courier.Config) {
		l.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
			before.Store(int32(len(l.Releases())))
			return nil, nil
		}
	})
	f.launcher.Publish(&slipwayv1.Reservation{PodUid: "a", Claim: "c1", Phase: slipwayv1.Reservation_PHASE_READY, NodeName: "n1"})
	f.reserve(t, "a")
	if err := f.courier.Release(ledger.Release{Pod: ledger.PodRef{UID: "a"}, Claim: "c1", Reason: "small"}); err != nil {
		t.Fatal(err)
	}
	f.launcher.Start()
	f.run(t)
	f.accepted(t, "a")
	want := []*slipwayv1.Release{{PodUid: "a", Claim: "c1", Reason: "small"}}
	if got := f.launcher.Releases(); len(got) != 1 || got[0].String() != want[0].String() {
		t.Errorf("releases are %v, want %v", got, want)
	}
	if before.Load() != 1 {
		t.Error("the pod came before its release")
	}
}

// TestStream: a snapshot, changes, and the same again when the stream is cut or the
// launcher restarts.
func TestStream(t *testing.T) {
	f := setup(t, nil)
	f.launcher.Publish(&slipwayv1.Reservation{
		PodUid: "a", PodNamespace: "ns", PodName: "a", Phase: slipwayv1.Reservation_PHASE_LAUNCHED, Claim: "c1", NodeName: "n1",
		InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "spot", Price: 0.01, Reason: "so",
	})
	f.launcher.Start()
	f.run(t)
	f.record.waitFor(f.ctx, t, "a snapshot", func() bool { return len(f.record.resyncs) == 1 })
	want := [][]ledger.Update{{{
		Ref: ledger.PodRef{UID: "a", Namespace: "ns", Name: "a"}, Phase: ledger.PhaseLaunched, Claim: "c1", Node: "n1", Reason: "so",
		Offer: ledger.Offer{InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "spot", Price: 0.01},
	}}}
	if diff := cmp.Diff(want, f.record.resyncs); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	for phase, want := range map[slipwayv1.Reservation_Phase]ledger.Phase{
		slipwayv1.Reservation_PHASE_WAITING: ledger.PhaseWaiting, slipwayv1.Reservation_PHASE_PLANNED: ledger.PhasePlanned,
		slipwayv1.Reservation_PHASE_READY: ledger.PhaseReady, slipwayv1.Reservation_PHASE_UNLAUNCHABLE: ledger.PhaseUnlaunchable,
	} {
		f.launcher.Publish(&slipwayv1.Reservation{PodUid: "b", Phase: phase})
		f.record.waitFor(f.ctx, t, phase.String(), func() bool { return f.record.count("b", want) == 1 })
	}
	// What is not understood is left out.
	f.launcher.Publish(&slipwayv1.Reservation{PodUid: "b", Phase: 99}, &slipwayv1.Reservation{PodUid: "b", Phase: slipwayv1.Reservation_PHASE_ENDED})
	f.record.waitFor(f.ctx, t, "the end", func() bool { return f.record.count("b", ledger.PhaseEnded) == 1 })

	f.launcher.CutStreams()
	f.record.waitFor(f.ctx, t, "a second snapshot", func() bool { return len(f.record.resyncs) == 2 })
	f.launcher.Stop()
	f.launcher.Start()
	f.record.waitFor(f.ctx, t, "a third snapshot", func() bool { return len(f.record.resyncs) == 3 })
}

// TestCertificates: nobody without the right certificate is talked to, and new files are
// used as soon as they are there.
func TestCertificates(t *testing.T) {
	stranger := launchertest.NewAuthority(t)
	f := setup(t, func(_ *launchertest.Launcher, c *courier.Config) { c.CallTimeout = 100 * time.Millisecond })
	good := map[string][]byte{}
	for _, name := range []string{f.files.Cert, f.files.Key, f.files.CA} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		good[name] = data
	}
	replace := func(name string, data []byte, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		// File systems may not tell apart two moments that are close.
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := stranger.Issue("stranger")
	replace(f.files.Cert, cert, time.Hour)
	replace(f.files.Key, key, time.Hour)
	f.launcher.Start()
	f.run(t)
	f.reserve(t, "a")
	f.record.waitFor(f.ctx, t, "failures", func() bool { return len(f.record.rpcs) >= 2 })
	if pods, _ := f.launcher.Pods(); len(pods) > 0 {
		t.Error("the launcher took a pod from a stranger")
	}
	// A key without its certificate changes nothing.
	replace(f.files.Key, good[f.files.Key], 30*time.Minute)
	replace(f.files.Cert, good[f.files.Cert], 20*time.Minute)
	f.accepted(t, "a")
}

func TestNew(t *testing.T) {
	authority := launchertest.NewAuthority(t)
	files := authority.WriteFiles(t.TempDir())
	good := courier.Config{
		Address: "127.0.0.1:1", TLS: files, CallTimeout: time.Second, QueueLimit: 1,
		Clock: clock.RealClock{}, Sink: newRecord(), Observer: newRecord(),
	}
	for _, tc := range []struct {
		name   string
		change func(*courier.Config)
		ok     bool
	}{
		{name: "good", change: func(*courier.Config) {}, ok: true},
		{name: "no address", change: func(c *courier.Config) { c.Address = "" }},
		{name: "no limit", change: func(c *courier.Config) { c.QueueLimit = 0 }},
		{name: "no key", change: func(c *courier.Config) { c.TLS.Key = "nowhere" }},
		{name: "no authorities in the file", change: func(c *courier.Config) { c.TLS.CA = c.TLS.Key }},
		{name: "a certificate that is not the key's", change: func(c *courier.Config) { c.TLS.Cert = authority.WriteFiles(t.TempDir()).Cert }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			if _, err := courier.New(cfg); (err == nil) != tc.ok {
				t.Errorf("error is %v, want success: %v", err, tc.ok)
			}
		})
	}
}
