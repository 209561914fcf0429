package reallocate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// ErrBudget says that a budget cannot be read; nothing is then removed.
var ErrBudget = errors.New("invalid disruption budget")

// allowance is what the budgets of a pool allow.
type allowance struct {
	nodes  int    // that may be on their way out at once
	of     int    // nodes that the pool has
	budget string // that says so, as written
}

// unlimited is what holds where no budget applies.
const unlimited = int(^uint(0) >> 1)

// allowed returns the smallest allowance among the budgets that hold now for the reason,
// in a pool of total nodes. Shares are rounded up, so that a small pool with a budget
// of 10 % can shrink at all; "0" and "0%" forbid. A budget that cannot be read is an error
// even where it is for other reasons or times.
func allowed(budgets []v1alpha1.Budget, reason v1alpha1.DisruptionReason, total int, now time.Time) (allowance, error) {
	least := allowance{nodes: unlimited}
	for _, b := range budgets {
		holds, err := b.HoldsAt(now)
		if err != nil {
			return allowance{}, fmt.Errorf("%w: %w", ErrBudget, err)
		}
		n, err := nodesOf(b.Nodes, total)
		if err != nil {
			return allowance{}, err
		}
		applies := len(b.Reasons) == 0 || slices.Contains(b.Reasons, reason)
		if holds && applies && n < least.nodes {
			least = allowance{nodes: n, budget: written(b)}
		}
	}
	return least, nil
}

// written renders a budget for people: "10%", or "0 from 0 9 * * mon-fri for 8h0m0s".
func written(b v1alpha1.Budget) string {
	if b.Schedule == nil {
		return b.Nodes
	}
	return fmt.Sprintf("%s from %s for %s", b.Nodes, *b.Schedule, b.Duration.Duration)
}

// nodesOf reads "5" or "10%" for a pool of total nodes.
func nodesOf(s string, total int) (int, error) {
	number, share := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || share && n > 100 {
		return 0, fmt.Errorf("%w: nodes is %q, want a number or a share from 0%% to 100%%", ErrBudget, s)
	}
	if !share {
		return n, nil
	}
	return (n*total + 99) / 100, nil
}
