package allocate

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/market"
)

// loop is the state of a running Allocator; only its goroutine touches it.
type loop struct {
	cfg     Config
	metrics *metrics
	log     logr.Logger
	ctx     context.Context //nolint:containedctx // the life of the loop

	pods map[types.UID]*entry
	// claims by name.
	claims map[string]*record
	// expected pods, by what they are like.
	expected map[kin]*expectation
	// groups by name.
	groups map[string]*group
	// successions of interrupted claims, by their names.
	successions map[string]*succession
	// ofOwner counts the pods of each owner.
	ofOwner map[types.UID]int
	// boots tell how long nodes take to come.
	boots     boots
	handBacks handBacks
	// growing owners are about to create pods.
	growing sets.Set[types.UID]

	batchSince time.Time // when the open batch was opened; zero when no pod waits
	lastPod    time.Time // when its latest pod came, and the latest of another owner
	lastOwner  time.Time
	timer      *time.Timer
	planning   bool
	stale      string              // what changed while the planner was at work, if it matters
	ended      sets.Set[types.UID] // claims that ended while the planner was at work
	awaiting   sets.Set[types.UID] // parked pods that depend on what claims are launched as
	launched   bool                // a claim was while the planner was at work
	jobs       chan<- job
	queue      []job // waiting to be taken by the planner

	// recovered is set once the claims of earlier leaders are known; recoverBy is until when
	// plans wait for them.
	recovered bool
	recoverBy time.Time

	// watchers by the channel they are told on, with what closes when one is gone.
	watchers map[chan []Reservation]<-chan struct{}
	changed  []Reservation // to be told to the watchers
}

// Run runs the loop until ctx ends. The client's caches must have synced.
func (a *Allocator) Run(ctx context.Context) error {
	events, err := a.subscribe(ctx)
	if err != nil {
		return err
	}
	for _, engine := range a.cfg.Engines {
		if err := engine.WaitForSync(ctx); err != nil {
			return err
		}
	}
	jobs, results := make(chan job), make(chan result)
	l := &loop{
		cfg: a.cfg, metrics: a.metrics, log: logf.FromContext(ctx).WithName("allocate"), ctx: ctx,
		pods: map[types.UID]*entry{}, claims: map[string]*record{},
		expected: map[kin]*expectation{}, groups: map[string]*group{}, successions: map[string]*succession{}, ofOwner: map[types.UID]int{}, growing: sets.New[types.UID](), awaiting: sets.New[types.UID](), boots: boots{}, handBacks: handBacks{},
		timer: time.NewTimer(time.Hour), jobs: jobs, watchers: map[chan []Reservation]<-chan struct{}{},
	}
	if err := l.recover(); err != nil {
		return err
	}
	planner := planner{cfg: a.cfg, metrics: a.metrics, log: l.log, market: market.Observer{Client: a.cfg.Client, Catalog: a.cfg.Catalog}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		planner.run(ctx, jobs, results)
	}()
	defer func() { <-done }()
	close(a.running)
	l.run(a.calls, events, results)
	return nil
}

func (l *loop) run(calls <-chan func(*loop), events <-chan event, results <-chan result) {
	defer l.closeWatchers()
	for {
		catalog := l.cfg.Catalog.Changed()
		jobs, next := l.nextJob()
		select {
		case jobs <- next:
			l.taken(next)
		case <-l.ctx.Done():
			return
		case f := <-calls:
			f(l)
		case e := <-events:
			l.observe(e)
			for range len(events) { // what is there already costs one look at the batch
				l.observe(<-events)
			}
		case r := <-results:
			l.planned(r)
		case <-catalog:
			l.reconsider("offerings changed")
		case <-l.timer.C:
		}
		l.schedule()
		l.publish()
	}
}

// nextJob returns the job to hand to the planner; the channel is nil when there is none.
// A batch goes before what can wait, but only once: else that would wait for as long as
// batches come.
func (l *loop) nextJob() (chan<- job, job) {
	if len(l.queue) == 0 {
		return nil, job{}
	}
	if l.queue[0].overtaken {
		return l.jobs, l.queue[0]
	}
	return l.jobs, l.queue[max(0, slices.IndexFunc(l.queue, func(j job) bool { return j.batch != nil }))]
}

// taken removes the job that the planner took.
func (l *loop) taken(taken job) {
	l.queue = slices.DeleteFunc(l.queue, func(j job) bool { return j == taken })
	if taken.batch == nil {
		return
	}
	for i := range l.queue {
		l.queue[i].overtaken = true
	}
}

// observe takes in what an informer saw.
func (l *loop) observe(e event) {
	switch {
	case e.claim != nil && e.gone:
		l.claimGone(e.claim)
		l.forgetSuccession(e.claim.Name)
		if l.limited(e.claim.Spec.NodePool) {
			l.reconsider("a node of NodePool " + e.claim.Spec.NodePool + " is gone")
		}
	case e.claim != nil:
		l.claimSeen(e.claim)
	case e.pod != nil:
		l.podSeen(e.pod, e.gone)
	case e.owner != nil:
		l.ownerSeen(e.owner, e.gone)
	default:
		l.reconsider(e.why)
	}
}
