package offering

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Source is where the catalogue gets its types from: the cloud.
type Source interface {
	// Types lists what nodes of the class can be; a nil class stands for the defaults.
	Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]Type, error)
}

// Config is what a Catalog needs. Source and Clock are required.
type Config struct {
	Source Source
	Clock  clock.Clock
	// RefreshEvery is how old a class's types may grow; 5 minutes by default.
	RefreshEvery time.Duration
	// RetryEvery is the pause after a failed refresh; 10 seconds by default.
	RetryEvery time.Duration
	// UnavailableFor is how long an offering that had no capacity is left alone;
	// 3 minutes by default.
	UnavailableFor time.Duration
	// ForgetAfter drops a class that nobody asked for; one hour by default.
	ForgetAfter time.Duration
}

func (c *Config) setDefaults() error {
	if c.Source == nil || c.Clock == nil {
		return errors.New("offering: Config needs Source and Clock")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.RefreshEvery, 5 * time.Minute},
		{&c.RetryEvery, 10 * time.Second},
		{&c.UnavailableFor, 3 * time.Minute},
		{&c.ForgetAfter, time.Hour},
	} {
		if *d.field < 0 {
			return fmt.Errorf("offering: Config has a negative duration %v", *d.field)
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return nil
}

// Catalog holds what can be bought for each class: the types as the Source tells
// them, less what is known to be unavailable for the moment, less the room by which
// real nodes of the same type, image and sizing fell short of their prediction.
//
// Types answers from memory; it asks the Source only for a class's first list and
// after its class has changed. Run keeps the lists fresh. A list that cannot be
// refreshed is kept; Freshness tells how old it is and why.
//
// A Catalog is safe for concurrent use.
type Catalog struct {
	cfg  Config
	wake chan struct{} // tells Run that its next deadline may have moved; holds one

	mu          sync.Mutex
	lists       map[string]*list // by class name; "" is the default class
	unavailable map[Key]time.Time
	shortfalls  shortfalls
	generation  uint64
	changed     chan struct{} // closed, and replaced, when room may have appeared
}

// list is what one class can be.
type list struct {
	class   *v1alpha1.EC2NodeClass // as last asked for
	usedAt  time.Time              // when it was last asked for
	loading chan struct{}          // non-nil while somebody asks the Source; closed when done

	types     []Type                 // as the Source told them
	loadedFor *v1alpha1.EC2NodeClass // the class they are of
	loadedAt  time.Time              // zero before the first success
	triedAt   time.Time
	err       error // of the last try

	snapshot   []Type // types with availability and shortfalls applied…
	snapshotOf uint64 // …as of this generation; 0 for none
}

// NewCatalog returns a Catalog that knows nothing yet.
func NewCatalog(cfg Config) (*Catalog, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	return &Catalog{
		cfg:         cfg,
		wake:        make(chan struct{}, 1),
		lists:       map[string]*list{},
		unavailable: map[Key]time.Time{},
		shortfalls:  shortfalls{},
		generation:  1,
		changed:     make(chan struct{}),
	}, nil
}

// Types returns what nodes of the class can be. The result is shared: it must not be
// modified. It stays the very same slice as long as nothing changes, so a caller may
// cache what it derives from it.
//
// It fails only while no list of the class was ever loaded.
func (c *Catalog) Types(ctx context.Context, class *v1alpha1.EC2NodeClass) ([]Type, error) {
	for {
		c.mu.Lock()
		l := c.listOf(class)
		if !c.mustLoad(l) {
			types, err := c.snapshot(l)
			c.mu.Unlock()
			return types, err
		}
		loading := l.loading
		if loading == nil {
			l.loading = make(chan struct{})
		}
		c.mu.Unlock()

		if loading == nil {
			c.load(ctx, l, class)
		} else {
			select {
			case <-loading:
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("offerings of class %q: %w", className(class), err)
		}
	}
}

// Freshness tells when the list of a class was last loaded (zero: never) and, when
// the last try to refresh it failed, why.
func (c *Catalog) Freshness(class *v1alpha1.EC2NodeClass) (loadedAt time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.lists[className(class)]
	if !ok {
		return time.Time{}, nil
	}
	return l.loadedAt, l.err
}

// Generation counts the changes to what Types returns, for better or worse.
func (c *Catalog) Generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

// Changed returns a channel that is closed when room may have appeared, so that it
// makes sense to try again what could not be bought: offerings are no longer held to
// be unavailable, or a refreshed list differs. Get the channel before calling
// Types, or a change in between goes unseen; get a new one after each change.
func (c *Catalog) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// listOf finds or makes the list of a class. c.mu is held.
func (c *Catalog) listOf(class *v1alpha1.EC2NodeClass) *list {
	name := className(class)
	l, ok := c.lists[name]
	if !ok {
		l = &list{}
		c.lists[name] = l
		c.nudge()
	}
	l.class = class
	l.usedAt = c.cfg.Clock.Now()
	return l
}

// mustLoad says whether the Source must be asked before the list can be used. A failed
// try is not repeated before its pause is over. c.mu is held.
func (c *Catalog) mustLoad(l *list) bool {
	if l.loading == nil && l.err != nil && c.cfg.Clock.Since(l.triedAt) < c.cfg.RetryEvery {
		return false
	}
	return l.loadedAt.IsZero() || !sameClass(l.loadedFor, l.class)
}

// load asks the Source for the list of the class and stores the answer. The caller has
// set l.loading. The Source's errors are kept in the list, except when the caller gave up.
func (c *Catalog) load(ctx context.Context, l *list, class *v1alpha1.EC2NodeClass) {
	types, err := c.cfg.Source.Types(ctx, class)

	c.mu.Lock()
	defer c.mu.Unlock()
	close(l.loading)
	l.loading = nil
	c.nudge()
	if err != nil && ctx.Err() != nil {
		return
	}
	now := c.cfg.Clock.Now()
	l.triedAt, l.err = now, err
	if err != nil {
		return
	}
	news := !equality.Semantic.DeepEqual(l.types, types) || l.loadedFor.Sizing() != class.Sizing()
	l.loadedAt, l.loadedFor, l.types = now, class, types
	if news {
		l.snapshot = nil
		c.bump(true)
	}
}

// bump notes that what Types returns has changed; better wakes those who wait for
// room. c.mu is held.
func (c *Catalog) bump(better bool) {
	c.generation++
	if better {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// nudge makes Run look again when it has to act next.
func (c *Catalog) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func className(class *v1alpha1.EC2NodeClass) string {
	if class == nil {
		return ""
	}
	return class.Name
}

// sameClass says whether two readings of a class ask for the same nodes.
func sameClass(a, b *v1alpha1.EC2NodeClass) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID && a.Generation == b.Generation
}
