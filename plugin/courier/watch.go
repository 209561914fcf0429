package courier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/plugin/ledger"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

var errSnapshotTooLarge = errors.New("snapshot is too large")

// watch keeps a stream of reservations open.
func (c *Courier) watch(ctx context.Context, client slipwayv1.LauncherServiceClient) {
	logger := klog.FromContext(ctx)
	failures := 0
	for ctx.Err() == nil {
		synced, err := c.stream(ctx, client)
		if ctx.Err() != nil {
			return
		}
		c.cfg.Observer.RPC("WatchReservations", status.Code(err).String())
		if synced {
			failures = 0
		}
		failures++
		logger.Error(err, "The stream of reservations was cut; will be opened again", "failures", failures)
		if !c.pause(ctx, failures) {
			return
		}
	}
}

// stream reads one stream to its end. synced tells whether its snapshot was complete.
func (c *Courier) stream(ctx context.Context, client slipwayv1.LauncherServiceClient) (synced bool, err error) {
	// The stream must end with this function, whatever made it return.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchReservations(ctx, &slipwayv1.WatchReservationsRequest{})
	if err != nil {
		return false, fmt.Errorf("watch: %w", err)
	}
	var snapshot []ledger.Update
	for {
		msg, err := stream.Recv()
		if err != nil {
			return synced, fmt.Errorf("watch: %w", err)
		}
		updates := c.decode(ctx, msg.GetReservations())
		if synced {
			c.cfg.Sink.Apply(updates)
			continue
		}
		if !msg.GetSnapshot() {
			return false, errors.New("watch: a change came before the snapshot was complete")
		}
		if snapshot = append(snapshot, updates...); len(snapshot) > maxSnapshot {
			return false, fmt.Errorf("watch: %w: more than %d reservations", errSnapshotTooLarge, maxSnapshot)
		}
		if msg.GetSnapshotComplete() {
			c.cfg.Sink.Resync(snapshot)
			synced, snapshot = true, nil
		}
	}
}

func (c *Courier) decode(ctx context.Context, reservations []*slipwayv1.Reservation) []ledger.Update {
	updates := make([]ledger.Update, 0, len(reservations))
	for _, r := range reservations {
		phase, ok := phaseOf(r.GetPhase())
		if !ok || r.GetPodUid() == "" {
			// A newer launcher may know phases that this scheduler does not.
			klog.FromContext(ctx).Error(nil, "A reservation was not understood", "phase", r.GetPhase(),
				"pod", klog.KRef(r.GetPodNamespace(), r.GetPodName()), "podUID", r.GetPodUid())
			continue
		}
		var ready time.Time
		if r.GetExpectedReady().IsValid() {
			ready = r.GetExpectedReady().AsTime()
		}
		updates = append(updates, ledger.Update{
			Ref:   ledger.PodRef{UID: types.UID(r.GetPodUid()), Namespace: r.GetPodNamespace(), Name: r.GetPodName()},
			Phase: phase, Claim: r.GetClaim(), Node: r.GetNodeName(), Reason: r.GetReason(), Batch: r.GetBatch(), Held: r.GetHeld(),
			Offer: ledger.Offer{
				InstanceType: r.GetInstanceType(), Zone: r.GetZone(), CapacityType: r.GetCapacityType(), Price: r.GetPrice(),
				ExpectedReady: ready,
			},
		})
	}
	return updates
}

func phaseOf(p slipwayv1.Reservation_Phase) (ledger.Phase, bool) {
	switch p {
	case slipwayv1.Reservation_PHASE_WAITING:
		return ledger.PhaseWaiting, true
	case slipwayv1.Reservation_PHASE_PLANNED:
		return ledger.PhasePlanned, true
	case slipwayv1.Reservation_PHASE_LAUNCHED:
		return ledger.PhaseLaunched, true
	case slipwayv1.Reservation_PHASE_READY:
		return ledger.PhaseReady, true
	case slipwayv1.Reservation_PHASE_UNLAUNCHABLE:
		return ledger.PhaseUnlaunchable, true
	case slipwayv1.Reservation_PHASE_ENDED:
		return ledger.PhaseEnded, true
	default:
		return 0, false
	}
}
