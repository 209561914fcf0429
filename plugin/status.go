package plugin

import (
	"context"
	"encoding/json"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// write brings the pod's status in step with what is to be told, in one request at most.
// It clears only a nomination that was told before.
func (t *teller) write(ctx context.Context, pod *v1.Pod, before, after told) error {
	var condition *v1.PodCondition
	if after.message != before.message {
		condition = unscheduled(pod, after.message)
	}
	if pod.Status.NominatedNodeName == "" && before.node != "" {
		// What was told last is not seen yet.
		pod = pod.DeepCopy()
		pod.Status.NominatedNodeName = before.node
	}
	var nominating *fwk.NominatingInfo
	if now := pod.Status.NominatedNodeName; after.node != before.node && after.node != now && (after.node != "" || now == before.node) {
		nominating = &fwk.NominatingInfo{NominatingMode: fwk.ModeOverride, NominatedNodeName: after.node}
	}
	if condition == nil && nominating == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if cacher := t.handle.APICacher(); cacher != nil {
		// What others are about to write of the pod is merged with this.
		done, err := cacher.PatchPodStatus(pod, condition, nominating)
		if err != nil {
			return err
		}
		return ignoreGone(cacher.WaitOnFinish(ctx, done))
	}
	patch, err := statusPatch(pod.UID, condition, nominating)
	if err != nil {
		return err
	}
	_, err = t.handle.ClientSet().CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return ignoreGone(err)
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// unscheduled returns the condition that says why the pod waits; nil if it says so.
func unscheduled(pod *v1.Pod, message string) *v1.PodCondition {
	status := pod.Status.DeepCopy()
	condition := &v1.PodCondition{
		Type:               v1.PodScheduled,
		ObservedGeneration: podutil.CalculatePodConditionObservedGeneration(&pod.Status, pod.Generation, v1.PodScheduled),
		Status:             v1.ConditionFalse,
		Reason:             v1.PodReasonUnschedulable,
		Message:            message,
	}
	if !podutil.UpdatePodCondition(status, condition) {
		return nil
	}
	return condition
}

// statusPatch is a strategic merge patch; conditions are merged by their type.
func statusPatch(uid types.UID, condition *v1.PodCondition, nominating *fwk.NominatingInfo) ([]byte, error) {
	status := map[string]any{}
	if condition != nil {
		status["conditions"] = []v1.PodCondition{*condition}
	}
	if nominating != nil {
		status["nominatedNodeName"] = nil
		if nominating.NominatedNodeName != "" {
			status["nominatedNodeName"] = nominating.NominatedNodeName
		}
	}
	return json.Marshal(map[string]any{
		// The UID is a precondition: a pod recreated under the name is left alone.
		"metadata": map[string]any{"uid": uid},
		"status":   status,
	})
}
