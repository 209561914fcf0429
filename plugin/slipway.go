// Package plugin owns Slipway's extension points in kube-scheduler. They are thin: what
// is promised to whom is the ledger's to know, and talking to the launcher is the
// courier's.
//
//	PreEnqueue  keeps a pod with a reservation out of the queue until its node is ready, or
//	            there may be room for it elsewhere (tries.go)
//	PreFilter   pins the pod to that node
//	Filter      keeps other pods out of the reserved room
//	PostFilter  hands a pod that fits nowhere to the launcher; it never blocks
//	Reserve     stops the clock of a reservation, PostBind ends it
//
// Four things no extension point offers; Builder.Attach puts them around the scheduler's
// own functions:
//
//	Cache           the ledger hears of a node before scheduling cycles do (nodes.go)
//	SchedulePod     a pod whose like fits nowhere is refused from memory and handed over
//	                (remember.go, package memory); no nodes at all count as none that fits
//	NextPod         the first call waits for the launcher to tell what it has promised
//	FailureHandler  does its work on the queue in silence for pods that wait for the
//	                launcher; the teller says it all in one write (quiet.go, teller.go)
//
// Of several profiles that enable the plugin, all share one Slipway, with its ledger and
// its launcher; what is tried first and when is each profile's own (policy.go).
//
// Which fault is covered by what, by when and in which test, the comment of package
// scripts/e2e lists.
package plugin

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier"
	"github.com/slipway-dev/slipway/plugin/ledger"
	"github.com/slipway-dev/slipway/plugin/memory"
)

// Name is the plugin's name in the scheduler's configuration.
const Name = "Slipway"

const (
	// maxReservations bounds the ledger and the courier's queue.
	maxReservations = 200_000
	// expireEvery is how often TTLs are looked at.
	expireEvery = time.Second
)

// launcher is what the plugin needs of the courier.
type launcher interface {
	Reserve(pod *v1.Pod) error
	Release(releases ...ledger.Release) error
	Drop(uid types.UID)
}

// Slipway implements the extension points listed at the top of the package.
type Slipway struct {
	// handle is the first profile's. What is asked of it, all profiles share.
	handle   fwk.Handle
	args     *config.SlipwayArgs
	logger   klog.Logger
	clock    clock.WithTicker
	ledger   *ledger.Ledger
	launcher launcher
	pods     corelisters.PodLister
	teller   *teller
	policy   *policy
	metrics  *metrics
	// memory is set by Attach, before anything runs; nil where nothing is remembered.
	memory *memory.Memory
	// freed is what the ledger counted when the memory was last told of room that became free.
	freed atomic.Uint64

	// leading is set once this process schedules. Standbys follow what happens, so that
	// they can take over at once, but write nothing and tell nobody.
	leading atomic.Bool
	led     chan struct{} // closed then
	// synced is closed when the launcher has told everything it knows for the first time.
	synced   chan struct{}
	syncOnce sync.Once

	stop context.CancelFunc
	wg   sync.WaitGroup
}

var (
	_ fwk.PreEnqueuePlugin  = (*Slipway)(nil)
	_ fwk.PreFilterPlugin   = (*Slipway)(nil)
	_ fwk.FilterPlugin      = (*Slipway)(nil)
	_ fwk.PostFilterPlugin  = (*Slipway)(nil)
	_ fwk.ReservePlugin     = (*Slipway)(nil)
	_ fwk.PostBindPlugin    = (*Slipway)(nil)
	_ fwk.EnqueueExtensions = (*Slipway)(nil)
	_ fwk.SignPlugin        = (*Slipway)(nil)
	_ courier.Sink          = (*Slipway)(nil)
)

// start builds the plugin and starts its goroutines, which end with ctx or Close. It fails
// if the certificates cannot be read.
func start(ctx context.Context, args *config.SlipwayArgs, handle fwk.Handle) (*Slipway, error) {
	m, err := newMetrics(legacyregistry.Register)
	if err != nil {
		return nil, err
	}
	p := assemble(ctx, handle, args, clock.RealClock{}, m)
	c, err := courier.New(courier.Config{
		Address: args.LauncherAddress,
		TLS: courier.Files{
			Cert: args.TLS.CertFile, Key: args.TLS.KeyFile, CA: args.TLS.CAFile, ServerName: args.TLS.ServerName,
		},
		CallTimeout: args.RequestTimeout.Duration,
		QueueLimit:  maxReservations,
		Clock:       p.clock,
		Sink:        p,
		Observer:    m,
	})
	if err != nil {
		p.shutDown()
		return nil, err
	}
	p.launcher = c
	if err := p.start(ctx, c.Run); err != nil {
		return nil, err
	}
	return p, nil
}

// assemble builds the plugin for one profile, but for its launcher.
func assemble(ctx context.Context, handle fwk.Handle, args *config.SlipwayArgs, clk clock.WithTicker, m *metrics) *Slipway {
	p := &Slipway{
		handle: handle,
		args:   args,
		logger: klog.LoggerWithName(klog.FromContext(ctx), Name),
		clock:  clk,
		ledger: ledger.New(ledger.Config{
			TTL: ledger.TTL{
				Waiting: args.TTL.Waiting.Duration, Planned: args.TTL.Planned.Duration,
				Launched: args.TTL.Launched.Duration, Ready: args.TTL.Ready.Duration, Refused: args.TTL.Refused.Duration,
			},
			MaxReservations: maxReservations,
		}),
		pods:    handle.SharedInformerFactory().Core().V1().Pods().Lister(),
		metrics: m,
		synced:  make(chan struct{}),
		led:     make(chan struct{}),
		policy:  newPolicy(clk),
	}
	p.teller = newTeller(p.ledger, p.pods, handle, clk)
	p.join(args, handle)
	return p
}

// join has a profile take part, before anything runs.
func (p *Slipway) join(args *config.SlipwayArgs, handle fwk.Handle) {
	p.policy.rules[handle.ProfileName()] = args
	p.teller.recorders[handle.ProfileName()] = handle.EventRecorder()
}

// start starts the goroutines. Those that call back into the scheduler wait for its
// informers, which it starts only after it has put itself together.
func (p *Slipway) start(ctx context.Context, run func(context.Context) error) error {
	ctx, p.stop = context.WithCancel(klog.NewContext(ctx, p.logger))
	synced, remove, err := p.listen()
	if err != nil {
		p.stop()
		p.shutDown()
		return err
	}
	p.wg.Go(func() {
		defer remove()
		defer p.shutDown()
		if !cache.WaitForCacheSync(ctx.Done(), synced...) {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := run(ctx); err != nil {
				p.logger.Error(err, "The courier ended")
			}
		})
		wg.Go(func() { p.teller.run(ctx) })
		wg.Go(func() { p.expire(ctx) })
		wg.Go(func() { p.wakeDue(ctx) })
		wg.Go(func() { p.tryElsewhere(ctx) })
		wg.Wait()
	})
	return nil
}

// shutDown ends the queues' goroutines.
func (p *Slipway) shutDown() {
	p.teller.queue.ShutDown()
	p.policy.due.ShutDown()
}

// Close ends the goroutines. Each profile calls it when the scheduler stops.
func (p *Slipway) Close() error {
	p.stop()
	p.wg.Wait()
	return nil
}

// Name implements fwk.Plugin.
func (p *Slipway) Name() string { return Name }

// lead notes that this process schedules.
func (p *Slipway) lead() {
	if p.leading.Load() || p.leading.Swap(true) {
		return
	}
	close(p.led)
	pods := p.ledger.Pods()
	p.teller.tell(pods...)
	for _, ref := range pods {
		// While it was on standby, nobody sent again what the launcher had lost.
		if r, ok := p.ledger.Get(ref.UID); ok && r.State == ledger.Waiting {
			p.resend(ref)
		}
	}
}

func (p *Slipway) expire(ctx context.Context) {
	ticker := p.clock.NewTicker(expireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			p.act(p.ledger.Expire(p.clock.Now()))
			p.metrics.setOldest(p.clock.Now(), p.ledger.Oldest())
		}
	}
}

// act carries out what follows from a transition. It must not be called from PreEnqueue
// or a queueing hint: the scheduling queue's lock is held there.
func (p *Slipway) act(fx ledger.Effects) {
	if len(fx.Changed) > 0 {
		p.metrics.setReservations(p.ledger.Counts)
	}
	if freed := p.ledger.Freed(); p.memory != nil && p.freed.Swap(freed) != freed {
		p.memory.RoomFreed()
	}
	if p.leading.Load() {
		p.teller.tell(fx.Changed...)
		for _, ref := range fx.Changed {
			p.follow(ref)
		}
		if err := p.launcher.Release(fx.Release...); err != nil {
			p.logger.Error(err, "The launcher will find out by itself that reservations were given back")
		}
		for _, ref := range fx.Resend {
			p.resend(ref)
		}
	}
	if len(fx.Wake) == 0 {
		return
	}
	pods := make(map[string]*v1.Pod, len(fx.Wake))
	for _, w := range fx.Wake {
		p.metrics.gateOpened(string(w.Gate))
		pods[w.Pod.Namespace+"/"+w.Pod.Name] = named(w.Pod)
	}
	p.handle.Activate(p.logger, pods)
}

// named returns what the scheduling queue needs of a pod to find it: its name, and its UID
// to tell it from one created anew.
func named(ref ledger.PodRef) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}}
}

// resend hands a pod over again that the launcher has lost or given back.
func (p *Slipway) resend(ref ledger.PodRef) {
	pod, err := p.pods.Pods(ref.Namespace).Get(ref.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		p.logger.Error(err, "Looking up a pod", "pod", klog.KRef(ref.Namespace, ref.Name))
	}
	if err != nil || pod.UID != ref.UID || pod.Spec.NodeName != "" {
		return
	}
	if err := p.send(pod); err != nil {
		// Its TTL opens the gate, and the pod is handed over again.
		p.logger.Error(err, "A pod was not handed over again", "pod", klog.KObj(pod))
	}
}

// send hands a pod to the courier. The error is courier.ErrQueueFull.
func (p *Slipway) send(pod *v1.Pod) error {
	if err := p.launcher.Reserve(pod); err != nil {
		return err
	}
	p.metrics.handedOver.Inc()
	return nil
}
