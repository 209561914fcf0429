package courier

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/plugin/ledger"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// deliver empties the outbox, one call at a time: an idle courier sends at once, and
// what comes while a call is under way makes up the next batch.
func (c *Courier) deliver(ctx context.Context, client slipwayv1.LauncherServiceClient) {
	logger := klog.FromContext(ctx)
	failures := 0
	// limit shrinks while the launcher calls batches invalid, to find the pod it means.
	limit := maxBatch
	for ctx.Err() == nil {
		releases := c.outbox.takeReleases(maxBatch)
		var pods []*v1.Pod
		if len(releases) == 0 {
			pods = c.outbox.takePods(limit)
		}
		var err error
		switch {
		case len(releases) > 0:
			err = c.release(ctx, client, releases)
		case len(pods) > 0:
			limit, err = c.reserve(ctx, client, pods, limit)
		default:
			select {
			case <-ctx.Done():
			case <-c.outbox.filled:
			}
			continue
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		logger.Error(err, "The launcher was not reached; will be tried again", "failures", failures)
		if !c.pause(ctx, failures) {
			return
		}
	}
}

func (c *Courier) release(ctx context.Context, client slipwayv1.LauncherServiceClient, releases []ledger.Release) error {
	req := &slipwayv1.ReleasePodsRequest{}
	for _, r := range releases {
		req.Releases = append(req.Releases, &slipwayv1.Release{PodUid: string(r.Pod.UID), Claim: r.Claim, Reason: r.Reason})
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	_, err := client.ReleasePods(ctx, req)
	code := status.Code(err)
	c.cfg.Observer.RPC("ReleasePods", code.String())
	if err != nil && !permanent(code) {
		return fmt.Errorf("release %d pods: %w", len(releases), err)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The launcher does not understand a release; given up", "releases", len(releases))
	}
	c.outbox.released(len(releases))
	return nil
}

// reserve sends a batch. It returns the limit of the next batch.
func (c *Courier) reserve(ctx context.Context, client slipwayv1.LauncherServiceClient, pods []*v1.Pod, limit int) (int, error) {
	defer c.outbox.report()
	req, sent, err := encode(pods)
	c.outbox.requeue(pods[len(sent):])
	if err != nil {
		c.refuse(sent[len(sent)-1], err.Error())
		c.outbox.requeue(sent)
		return limit, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	resp, err := client.ReservePods(ctx, req)
	code := status.Code(err)
	c.cfg.Observer.RPC("ReservePods", code.String())
	switch {
	case err == nil:
		return maxBatch, c.answer(sent, resp.GetAnswers())
	case permanent(code) && len(sent) == 1:
		c.refuse(sent[0], "the launcher does not understand the pod: "+status.Convert(err).Message())
		return maxBatch, nil
	case permanent(code):
		c.outbox.requeue(sent)
		return len(sent) / 2, nil
	default:
		c.outbox.requeue(sent)
		return limit, fmt.Errorf("reserve %d pods: %w", len(sent), err)
	}
}

// permanent reports whether the same request would be answered so again.
func permanent(code codes.Code) bool {
	return code == codes.InvalidArgument || code == codes.OutOfRange
}

// encode writes as many of the pods as one message may hold. On an error, the last pod
// of sent is the one that cannot be encoded.
func encode(pods []*v1.Pod) (req *slipwayv1.ReservePodsRequest, sent []*v1.Pod, err error) {
	req = &slipwayv1.ReservePodsRequest{}
	size := 0
	for i, pod := range pods {
		if len(pod.ManagedFields) > 0 {
			stripped := *pod
			stripped.ManagedFields = nil
			pod = &stripped
		}
		data, err := pod.Marshal()
		if err != nil {
			return nil, pods[:i+1], fmt.Errorf("pod %s/%s: encode: %w", pod.Namespace, pod.Name, err)
		}
		if size += len(data); size > maxBatchBytes && i > 0 {
			return req, pods[:i], nil
		}
		req.Pods = append(req.Pods, &slipwayv1.WaitingPod{Pod: data})
	}
	return req, pods, nil
}

// answer takes in the launcher's answers and keeps the pods without one.
func (c *Courier) answer(sent []*v1.Pod, answers []*slipwayv1.Answer) error {
	byUID := make(map[types.UID]*slipwayv1.Answer, len(answers))
	for _, a := range answers {
		byUID[types.UID(a.GetPodUid())] = a
	}
	var updates []ledger.Update
	var unanswered []*v1.Pod
	for _, pod := range sent {
		u := ledger.Update{Ref: refOf(pod), Phase: ledger.PhaseAccepted}
		switch a := byUID[pod.UID]; a.GetCode() {
		case slipwayv1.Answer_CODE_ACCEPTED, slipwayv1.Answer_CODE_ALREADY_RESERVED:
		case slipwayv1.Answer_CODE_REFUSED:
			u.Phase, u.Reason = ledger.PhaseRefused, a.GetReason()
		default:
			unanswered = append(unanswered, pod)
			continue
		}
		c.outbox.answered(pod.UID)
		updates = append(updates, u)
	}
	c.cfg.Sink.Apply(updates)
	if len(unanswered) > 0 {
		c.outbox.requeue(unanswered)
		return fmt.Errorf("reserve %d pods: the launcher answered for %d only", len(sent), len(updates))
	}
	return nil
}

func (c *Courier) refuse(pod *v1.Pod, reason string) {
	c.outbox.answered(pod.UID)
	c.cfg.Sink.Apply([]ledger.Update{{Ref: refOf(pod), Phase: ledger.PhaseRefused, Reason: reason}})
}

func refOf(pod *v1.Pod) ledger.PodRef {
	return ledger.PodRef{UID: pod.UID, Namespace: pod.Namespace, Name: pod.Name}
}
