package allocate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// What the planner writes to the API server.

// write creates the claims; the pods of those that cannot be written have failed.
func (p *planner) write(ctx context.Context, claims []*v1alpha1.NodeClaim, failed map[types.UID]string) []*v1alpha1.NodeClaim {
	var mu sync.Mutex
	var written []*v1alpha1.NodeClaim
	workqueue.ParallelizeUntil(ctx, writers, len(claims), func(i int) {
		claim := claims[i]
		err := p.create(ctx, claim)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			written = append(written, claim)
			return
		}
		p.log.Error(err, "write NodeClaim", "nodepool", claim.Spec.NodePool)
		for _, pod := range claim.Spec.Pods {
			failed[pod.UID] = "NodeClaim could not be written: " + err.Error()
		}
	})
	return written
}

// addTo records on claims in flight the pods that get their room to spare; the pods of
// those that cannot be written have failed. Pods that are still to come get seats.
func (p *planner) addTo(ctx context.Context, v *view, reused []fit.Reused, toCome map[types.UID]kin, failed map[types.UID]string) (added []*v1alpha1.NodeClaim, seats []seat) {
	for _, r := range reused {
		name := v.rooms[r.Node].Name
		pods, more := seatsOn(name, r.Pods, toCome)
		seats = append(seats, more...)
		if len(pods) == 0 {
			continue
		}
		claim, err := p.add(ctx, name, reservedPods(pods))
		if err == nil {
			added = append(added, claim)
			continue
		}
		p.log.Error(err, "reserve room to spare", "nodeclaim", name, "pods", len(pods))
		for _, pod := range pods {
			failed[pod.UID] = "room to spare could not be reserved: " + err.Error()
		}
	}
	return added, seats
}

func (p *planner) add(ctx context.Context, name string, pods []v1alpha1.ReservedPod) (*v1alpha1.NodeClaim, error) {
	return p.update(ctx, name, func(claim *v1alpha1.NodeClaim) error {
		if claim.DeletionTimestamp != nil {
			return fmt.Errorf("nodeclaim %s is being deleted", name)
		}
		for _, pod := range pods {
			if !slices.ContainsFunc(claim.HeldPods(), func(h v1alpha1.ReservedPod) bool { return h.UID == pod.UID }) {
				claim.Status.Added = append(claim.Status.Added, pod)
			}
		}
		return nil
	})
}

// update changes the status of a claim as the API server has it now.
func (p *planner) update(ctx context.Context, name string, change func(*v1alpha1.NodeClaim) error) (*v1alpha1.NodeClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := &v1alpha1.NodeClaim{}
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := p.cfg.Live.Get(ctx, types.NamespacedName{Name: name}, claim); err != nil {
			return err
		}
		before := claim.DeepCopy()
		if err := change(claim); err != nil {
			return err
		}
		if equality.Semantic.DeepEqual(before.Status, claim.Status) {
			return nil // done already
		}
		claim.SyncColumns()
		return p.cfg.Client.Status().Patch(ctx, claim, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	return claim, err
}

// replace puts the new versions of some claims in the place of the old ones.
func replace(claims, by []*v1alpha1.NodeClaim) []*v1alpha1.NodeClaim {
	replaced := slices.Clone(claims)
	for i, c := range replaced {
		for _, n := range by {
			if n.Name == c.Name {
				replaced[i] = n
			}
		}
	}
	return replaced
}

// lostAnswers are the reasons of errors after which a write may have been done or not.
var lostAnswers = []metav1.StatusReason{
	metav1.StatusReasonUnknown, metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout,
	metav1.StatusReasonInternalError, metav1.StatusReasonServiceUnavailable,
}

// create writes a claim, unless another leader may have planned for its pods. When the answer
// is lost the claim may exist all the same: it has its name from us, so that it can be asked
// for instead of being written twice.
func (p *planner) create(ctx context.Context, claim *v1alpha1.NodeClaim) error {
	if err := p.cfg.Leads(); err != nil {
		return err
	}
	write, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := p.cfg.Client.Create(write, claim)
	if err == nil || !slices.Contains(lostAnswers, apierrors.ReasonForError(err)) {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, lostTimeout)
	defer cancel()
	key, found := client.ObjectKeyFromObject(claim), &v1alpha1.NodeClaim{}
	askErr := wait.PollUntilContextCancel(ask, time.Second, true, func(ctx context.Context) (bool, error) {
		switch getErr := p.cfg.Live.Get(ctx, key, found); {
		case getErr == nil:
			return true, nil
		case apierrors.IsNotFound(getErr):
			return false, err
		default:
			return false, nil // the API server is still away
		}
	})
	if askErr != nil {
		return err
	}
	*claim = *found
	return nil
}

// cancel deletes a claim that nobody needs.
func (p *planner) cancel(ctx context.Context, c cancelledClaim) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := &v1alpha1.NodeClaim{}
	claim.Name = c.name
	if err := p.cfg.Client.Delete(ctx, claim); client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "cancel NodeClaim; it will be removed as an empty node", "nodeclaim", c.name)
		return
	}
	p.log.Info("nodeclaim cancelled", "nodeclaim", c.name, "because", c.reason)
}

// markReleased records on the claim that pods no longer hold a place there.
func (p *planner) markReleased(ctx context.Context, r releasedPods) {
	_, err := p.update(ctx, r.claim, func(claim *v1alpha1.NodeClaim) error {
		for _, uid := range r.pods {
			if !slices.Contains(claim.Status.Released, uid) {
				claim.Status.Released = append(claim.Status.Released, uid)
			}
		}
		return nil
	})
	if client.IgnoreNotFound(err) != nil {
		p.log.Error(err, "mark pods as released", "nodeclaim", r.claim, "pods", len(r.pods))
	}
}
