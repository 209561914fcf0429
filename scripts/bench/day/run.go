package day

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Config says which day is run.
type Config struct {
	Seed uint64
	// Length of the day, from midnight.
	Length time.Duration
	// SchedulerConfig is the file of the scheduler whose first profile decides.
	SchedulerConfig string
	// Policies (NodePool.spec.disruption.consolidationPolicy) that the same day is run with.
	Policies []string
}

// Policies are those that a day can be played with.
func Policies() []string { return []string{whenEmpty, whenUnderused} }

// ErrInvalid is wrapped by errors about a Config.
var ErrInvalid = errors.New("invalid")

// Validate tells what is wrong with a Config; errors wrap ErrInvalid.
func (c Config) Validate() error {
	if c.Length < time.Hour || c.Length > 7*24*time.Hour {
		return fmt.Errorf("%w: --length must be between 1 hour and 7 days, not %s", ErrInvalid, c.Length)
	}
	for _, p := range c.Policies {
		if !slices.Contains(Policies(), p) {
			return fmt.Errorf("%w: --policies: %q is none of %s", ErrInvalid, p, strings.Join(Policies(), ", "))
		}
	}
	return nil
}

// Run plays the day once for each policy. The report has what was played until an error.
func Run(ctx context.Context, cfg Config, out io.Writer) (*Report, error) {
	report := newReport(cfg)
	for _, policy := range cfg.Policies {
		f, err := play(ctx, cfg, policy, func(format string, args ...any) {
			fmt.Fprintf(out, "  "+policy+": "+format+"\n", args...) //nolint:errcheck // a terminal
		})
		report.Runs = append(report.Runs, f)
		if err != nil {
			return report, fmt.Errorf("%s: %w", policy, err)
		}
	}
	return report, nil
}

// play is one day.
func play(ctx context.Context, cfg Config, policy string, say func(string, ...any)) (Figures, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	r := rand.New(rand.NewPCG(cfg.Seed, 1))                                                                                    //nolint:gosec // a simulation
	c := &cluster{ctx: ctx, r: rand.New(rand.NewPCG(cfg.Seed, 2)), load: newLoad(r), bill: &bill{disrupted: map[string]int{}}} //nolint:gosec // a simulation
	var err error
	if c.market, err = newMarket(ctx, r); err != nil {
		return Figures{}, err
	}
	if c.judge, err = newJudge(ctx, cfg.SchedulerConfig); err != nil {
		return Figures{}, err
	}
	for ; c.now < cfg.Length && ctx.Err() == nil; c.now += step {
		if c.now%time.Hour == 0 && c.now > 0 {
			if err := c.market.walk(r); err != nil {
				return Figures{}, err
			}
		}
		if err := c.advance(); err != nil {
			return c.bill.figures(policy, time.Since(start)), err
		}
		if policy == whenUnderused && c.now%consolidateEvery == 0 {
			if err := c.consolidate(); err != nil {
				return c.bill.figures(policy, time.Since(start)), fmt.Errorf("at %s: consolidation: %w", c.now, err)
			}
		}
		if c.now%sampled == 0 {
			if err := c.sample(); err != nil {
				return c.bill.figures(policy, time.Since(start)), fmt.Errorf("at %s: lower bound: %w", c.now, err)
			}
		}
		if c.now%(3*time.Hour) == 0 {
			say("%02.0f:00, %d nodes at $%.2f an hour, $%.2f paid", c.now.Hours(), len(c.nodes), c.price(), c.bill.dollars)
		}
		c.charge()
	}
	return c.bill.figures(policy, time.Since(start)), ctx.Err()
}
