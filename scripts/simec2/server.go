package simec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server serves one region. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	http *http.Server

	mu       sync.Mutex
	region   *region
	throttle *throttle
	faults   faults
	calls    *callLog
	requests uint64
	changed  chan struct{} // closed at every change of an instance
	wake     chan struct{} // tells run that the schedule has changed

	listener net.Listener
	stop     context.CancelFunc
	stopping <-chan struct{} // closed by stop
	done     sync.WaitGroup
}

// New builds a region as cfg describes. Nothing runs until Start; as an
// http.Handler it works without, with transitions made as calls come in.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simec2: %w", err)
	}
	r, err := newRegion(cfg)
	if err != nil {
		return nil, fmt.Errorf("simec2: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		region:   r,
		throttle: newThrottle(cfg.Unthrottled),
		faults:   faults{rand: rand.New(rand.NewPCG(cfg.Seed, 1))}, //nolint:gosec // G404: one seed must always give the same run
		calls:    &callLog{size: cfg.CallLogSize},
		changed:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
	if err := s.SetCapacity(cfg.Capacity...); err != nil {
		return nil, fmt.Errorf("simec2: %w", err)
	}
	if err := s.SetFaults(cfg.Faults...); err != nil {
		return nil, fmt.Errorf("simec2: %w", err)
	}
	return s, nil
}

// Start listens and serves until Close.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("simec2: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.listener, s.stop, s.stopping = l, stop, ctx.Done()
	s.region.queue.url = s.URL() + s.region.queue.path()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.done.Go(func() {
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Logger.Error("serving ended", "error", err)
		}
	})
	s.done.Go(func() { s.run(ctx) })
	return nil
}

// Close lets calls in flight finish for a few seconds and stops.
func (s *Server) Close() error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.done.Wait()
	return err
}

// URL is the endpoint that AWS clients are to be pointed at.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// run makes transitions when they are due, so that watchers hear of them
// without a call coming in.
func (s *Server) run(ctx context.Context) {
	for {
		s.mu.Lock()
		s.advance()
		due := s.region.nextDue()
		s.mu.Unlock()

		var fire <-chan time.Time
		stop := func() bool { return true }
		if !due.IsZero() {
			t := s.cfg.Clock.NewTimer(due.Sub(s.cfg.Clock.Now()))
			fire, stop = t.C(), t.Stop
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fire:
		case <-s.wake:
			stop()
		}
	}
}

// advance brings the region up to now. The caller holds the lock.
func (s *Server) advance() time.Time {
	now := s.cfg.Clock.Now()
	if s.region.advance(now) {
		s.announce()
	}
	return now
}

// announce tells watchers that an instance has changed. The caller holds the
// lock.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Changed returns a channel that closes at the next change of any instance.
// Take it before reading Instances, and no change is missed.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Instances lists all instances, terminated ones included while they are kept,
// by launch time.
func (s *Server) Instances() []Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	out := make([]Instance, 0, len(s.region.order))
	for _, m := range s.region.order {
		out = append(out, m.snapshot())
	}
	return out
}

// Calls returns the log of API calls, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls.all()
}

// SetCapacity replaces the rules for the pools they name and leaves others.
func (s *Server) SetCapacity(rules ...CapacityRule) error {
	for _, r := range rules {
		if err := r.validate(); err != nil {
			return err
		}
		if _, ok := s.region.types[r.key().instanceType]; !ok && r.key().instanceType != "*" {
			return fmt.Errorf("capacity of %v: unknown instance type", r.key())
		}
		if z := r.key().zone; z != "*" && !slices.Contains(s.region.zones(), z) {
			return fmt.Errorf("capacity of %v: unknown zone", r.key())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		s.region.capacity.limits[r.key()] = r.Instances
	}
	return nil
}

// SetReservations replaces all capacity reservations. Instances in one that is gone run on
// as on-demand ones.
func (s *Server) SetReservations(list ...CapacityReservation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.region.setReservations(list)
}

// InjectFault adds a fault to those in force.
func (s *Server) InjectFault(f Fault) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.list = append(s.faults.list, f)
	return nil
}

// SetFaults replaces all faults.
func (s *Server) SetFaults(list ...Fault) error {
	for _, f := range list {
		if err := f.validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.list = slices.Clone(list)
	return nil
}

// Faults lists the faults in force, with the counts still left.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.drop()
	return append([]Fault{}, s.faults.list...)
}

// Terminate ends instances behind the back of whoever launched them, as a
// failing host would.
func (s *Server) Terminate(ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	for _, id := range ids {
		if _, ok := s.region.machines[id]; !ok {
			return fmt.Errorf("instance %s: not found", id)
		}
	}
	for _, id := range ids {
		s.region.terminate(s.region.machines[id], outOfBand, now)
	}
	s.announce()
	return nil
}

// ShrinkMemory gives instances of the type that are launched from now on so
// many per cent less memory than the type is described with; 0 ends it.
func (s *Server) ShrinkMemory(instanceType string, percent float64) error {
	if _, ok := s.region.types[instanceType]; !ok {
		return fmt.Errorf("instance type %s: unknown", instanceType)
	}
	if percent < 0 || percent >= 100 {
		return fmt.Errorf("instance type %s: cannot shrink memory by %v per cent", instanceType, percent)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.region.shrunk[instanceType] = percent
	return nil
}

// PublishImages releases new node images, such as "v20260801", which become the
// recommended ones.
func (s *Server) PublishImages(release string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.region.publishImages(release)
}

// RecommendedImage is the node image that SSM recommends for the architecture,
// "x86_64" or "arm64".
func (s *Server) RecommendedImage(arch string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := fmt.Sprintf("/aws/service/eks/optimized-ami/%s/amazon-linux-2023/%s/standard/recommended/image_id", s.cfg.KubernetesVersion, arch)
	id, ok := s.region.imageParameter(path)
	if !ok {
		return "", fmt.Errorf("no image for architecture %q", arch)
	}
	return id, nil
}

// Subnets maps each zone to its subnet's id.
func (s *Server) Subnets() map[string]string {
	out := map[string]string{}
	for _, n := range s.region.subnets {
		out[n.zone] = n.id
	}
	return out
}

// SecurityGroup is the id of the security group of the cluster's nodes.
func (s *Server) SecurityGroup() string { return s.region.groups[0].id }

// InstanceTypes is the catalogue by name.
func (s *Server) InstanceTypes() map[string]InstanceType { return maps.Clone(s.region.types) }

// SpotPrice is the price in force, in USD per hour.
func (s *Server) SpotPrice(instanceType, zone string) (float64, error) {
	t, ok := s.region.types[instanceType]
	if !ok {
		return 0, fmt.Errorf("instance type %s: unknown", instanceType)
	}
	return s.region.spotPrice(t, zone, s.cfg.Clock.Now()), nil
}
