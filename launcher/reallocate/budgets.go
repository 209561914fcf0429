package reallocate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// ErrBudget says that a budget cannot be read; nothing is then removed.
var ErrBudget = errors.New("invalid disruption budget")

// allowance is what the budgets of a pool allow.
type allowance struct {
	nodes  int    // that may be on their way out at once
	budget string // that says so, as written
}

// unlimited is what holds where no budget applies.
const unlimited = int(^uint(0) >> 1)

// allowed returns the smallest allowance among the budgets that hold for the reason,
// in a pool of total nodes. Shares are rounded up, so that a small pool with a budget
// of 10 % can shrink at all; "0" and "0%" forbid.
func allowed(budgets []v1alpha1.Budget, reason v1alpha1.DisruptionReason, total int) (allowance, error) {
	least := allowance{nodes: unlimited}
	for _, b := range budgets {
		if b.Schedule != nil || b.Duration != nil {
			return allowance{}, fmt.Errorf("%w: schedule and duration are not supported", ErrBudget)
		}
		if len(b.Reasons) > 0 && !slices.Contains(b.Reasons, reason) {
			continue
		}
		n, err := nodesOf(b.Nodes, total)
		if err != nil {
			return allowance{}, err
		}
		if n < least.nodes {
			least = allowance{n, b.Nodes}
		}
	}
	return least, nil
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
