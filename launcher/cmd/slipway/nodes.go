package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/live"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/nodes"
)

const nodesHelp = `Nodes shows the nodes of a cluster and those on their way: how much of their CPU, memory and pods is
asked for, what they are, what they cost, and how they stand. On a terminal the view follows the
cluster; elsewhere it is written once, as text or JSON.

  ↑ ↓ page up, page down    scroll           s    order by the next of --sort's
  q, escape, ctrl-c         quit

The first line has the price of all of them, per hour and per month of 730 hours. Prices are those that
Slipway paid, from the NodeClaims: a node that Slipway did not launch has none. Reserved capacity is paid
for whether it is used or not, and left out of the sum. Shares are those of what pods ask for in what the
node has for pods, not what they use. PODS is pods there / room for pods, and +n that have places there
and are yet to come. Where the terminal is narrow, bars and columns are left out.

STATE   Planned, Booting, Joining: on its way. Ready. Kept: ready, and an annotation keeps it from being
        disrupted. Empty, Drifted, Expired, Interrupted, …: a reason to go, and Removing with it once that
        has begun. Draining, Ending. Cordoned and NotReady. slipway explain node NAME says why.

JSON: nodes (name, nodeClaim, absent, nodePool, instanceType, zone, capacityType, pricePerHour,
createdAt, state, message, cpu in cores, memory in bytes and pods, each requested and allocatable,
reservedPods), totals (nodes, onTheWay, pricePerHour, pricePerMonth, waitingPods, cpu, memory, pods).

Rights. list nodes, pods and nodeclaims.slipway.dev; to follow them, watch as well.

Exit code: 0 when the view was shown, 2 when flags are wrong, 1 when something else fails.`

// redrawEvery is how often the view is drawn anew.
const redrawEvery = time.Second

// nodesOptions are the flags of `slipway nodes`.
type nodesOptions struct {
	kubeconfig, kubeContext string
	output, sort            string
	pools                   []string
	watch                   bool
}

func nodesCommand() *cobra.Command {
	var o nodesOptions
	cmd := &cobra.Command{
		Use:   "nodes [--sort BY] [--pool NAME...] [--watch=false] [-o text|json]",
		Short: "Show the nodes: how full, at what price, and which come and go.",
		Long:  nodesHelp,
		Example: `  # follow the cluster
  slipway nodes

  # what costs most, in one pool
  slipway nodes --pool general --sort price

  # how full is it, for a script
  slipway nodes -o json | jq '.totals.cpu.requested / .totals.cpu.allocatable'`,
		Args:                  noArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			terminal := terminalOf(cmd.InOrStdin(), cmd.OutOrStdout())
			if !cmd.Flags().Changed("watch") {
				o.watch = terminal != nil && o.output == "text"
			}
			if err := o.validate(terminal != nil); err != nil {
				return err
			}
			if err := setLog(0, nil); err != nil {
				return err
			}
			ctrllog.SetLogger(logr.Discard())
			return o.run(cmd.Context(), terminal, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.sort, "sort", "age", "order by one of "+strings.Join(nodes.Orders(), ", ")+"; a leading - turns it around")
	f.StringArrayVar(&o.pools, "pool", nil, "only nodes of this NodePool; may be given several times")
	f.BoolVar(&o.watch, "watch", true, "follow the cluster; by default on a terminal only")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; by default $KUBECONFIG or ~/.kube/config")
	f.StringVar(&o.kubeContext, "context", "", "context of the kubeconfig")
	return cmd
}

// validate refuses flags that have no effect or no meaning.
func (o *nodesOptions) validate(terminal bool) error {
	var wrong []string
	if !slices.Contains([]string{"text", "json"}, o.output) {
		wrong = append(wrong, fmt.Sprintf("-o %s is neither text nor json", o.output))
	}
	if err := (&nodes.View{}).Order(o.sort); err != nil {
		wrong = append(wrong, "--sort: "+err.Error())
	}
	switch {
	case o.watch && !terminal:
		wrong = append(wrong, "--watch needs a terminal")
	case o.watch && o.output != "text":
		wrong = append(wrong, "--watch shows text only")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s; see slipway nodes --help", input.ErrWrong, strings.Join(wrong, "; "))
	}
	return nil
}

func (o *nodesOptions) run(ctx context.Context, terminal *os.File, stdout io.Writer) error {
	cluster, err := live.Connect(o.kubeconfig, o.kubeContext)
	if err != nil {
		return err
	}
	if o.watch {
		return o.follow(ctx, cluster, terminal, stdout)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	view, err := cluster.Nodes(ctx, cluster.Reader())
	if err != nil {
		return err
	}
	view.Only(o.pools)
	if err := view.Order(o.sort); err != nil {
		return err
	}
	if o.output == "json" {
		return view.JSON(stdout)
	}
	return view.Text(stdout, time.Now(), terminalWidth())
}

// follow draws what the API server sends until the user has had enough.
func (o *nodesOptions) follow(ctx context.Context, cluster *live.Cluster, terminal *os.File, stdout io.Writer) error {
	// Once by itself: what may not be read is told at once, and not tried again and again.
	first, cancelFirst := context.WithTimeout(ctx, readTimeout)
	defer cancelFirst()
	if _, err := cluster.Nodes(first, cluster.Reader()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var trouble trouble
	reader, wait, err := cluster.Follow(ctx, trouble.note)
	if err != nil {
		cancel()
		return err
	}
	defer func() { cancel(); _ = wait() }() //nolint:errcheck // it ends because it was told to
	restore, err := raw(terminal)
	if err != nil {
		return err
	}
	defer restore()
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	s := &screen{
		out: stdout, keys: keysOf(terminal), tick: ticker.C, now: time.Now, sort: o.sort, trouble: trouble.last,
		size: func() (int, int, error) { return term.GetSize(int(terminal.Fd())) },
		look: func(ctx context.Context) (*nodes.View, error) {
			view, err := cluster.Nodes(ctx, reader)
			if err == nil {
				view.Only(o.pools)
			}
			return view, err
		},
	}
	return s.run(ctx)
}

// trouble is what could not be read lately.
type trouble struct {
	mu  sync.Mutex
	err error
	at  time.Time
}

// passes is for how long trouble is shown: readers try again at least every 30 s.
const passes = 40 * time.Second

func (t *trouble) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err, t.at = err, time.Now()
}

func (t *trouble) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.at) > passes {
		return nil
	}
	return t.err
}
