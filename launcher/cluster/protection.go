package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// Annotations of the peers that mean the same, so that workloads keep what protects them.
const (
	karpenterDoNotDisrupt = "karpenter.sh/do-not-disrupt"
	autoscalerSafeToEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict"
)

// Protection is what keeps a node from being disrupted while it need not be.
type Protection struct {
	// By names the object, such as "pod default/db-0"; empty if nothing does.
	By         string
	Annotation string
	// Until is when it ends by itself; zero if it does not.
	Until time.Time
}

// String says it for people.
func (p Protection) String() string {
	s := p.By + " is annotated " + p.Annotation
	if !p.Until.IsZero() {
		s += ", until " + p.Until.UTC().Format(time.RFC3339)
	}
	return s
}

// ProtectionOf finds what protects a node now: its own annotations, its claim's, or those of
// a pod on it that has not finished, be it a DaemonSet's. pods reads the pods; node may be nil.
func ProtectionOf(ctx context.Context, pods client.Reader, claim *v1alpha1.NodeClaim, node *corev1.Node, now time.Time) (Protection, error) {
	if p := ProtectionOfNode(claim, node, now); p.By != "" || node == nil {
		return p, nil
	}
	on, err := PodsOn(ctx, pods, node.Name)
	if err != nil {
		return Protection{}, fmt.Errorf("nodeclaim %s: %w", claim.Name, err)
	}
	for i := range on {
		if p := ProtectionOfPod(&on[i], now); p.By != "" {
			return p, nil
		}
	}
	return Protection{}, nil
}

// ProtectionOfNode is what the claim or the node itself, which may be nil, asks for.
func ProtectionOfNode(claim *v1alpha1.NodeClaim, node *corev1.Node, now time.Time) Protection {
	if p := protects("nodeclaim "+claim.Name, claim, now); p.By != "" || node == nil {
		return p
	}
	return protects("node "+node.Name, node, now)
}

// ProtectionOfPod is what a pod itself asks for.
func ProtectionOfPod(pod *corev1.Pod, now time.Time) Protection {
	if IsFinished(pod) {
		return Protection{}
	}
	name := "pod " + pod.Namespace + "/" + pod.Name
	if pod.Annotations[autoscalerSafeToEvict] == "false" {
		return Protection{By: name, Annotation: autoscalerSafeToEvict}
	}
	return protects(name, pod, now)
}

// protects reads the annotations that any object may have. A duration counts from the
// object's creation. What nobody understands protects: it was put there to do so.
func protects(name string, o metav1.Object, now time.Time) Protection {
	for _, key := range []string{v1alpha1.DoNotDisruptAnnotation, karpenterDoNotDisrupt} {
		value, ok := o.GetAnnotations()[key]
		if !ok || value == "false" {
			continue
		}
		p := Protection{By: name, Annotation: key}
		if d, err := time.ParseDuration(value); err == nil {
			if p.Until = o.GetCreationTimestamp().Add(d); !now.Before(p.Until) {
				continue
			}
		}
		return p
	}
	return Protection{}
}

// ProtectsOtherwise tells whether two versions of a pod differ in what they ask for.
func ProtectsOtherwise(was, is *corev1.Pod) bool {
	for _, key := range []string{v1alpha1.DoNotDisruptAnnotation, karpenterDoNotDisrupt, autoscalerSafeToEvict} {
		if was.Annotations[key] != is.Annotations[key] {
			return true
		}
	}
	return false
}
