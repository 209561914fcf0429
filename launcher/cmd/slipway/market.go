package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// market is what may be bought.
type market struct {
	pools  []*v1alpha1.NodePool
	offers []offering.Offer
	types  map[string]offering.Type // all that are known, for sale or not
	// unusable says of pools why nothing of them can be bought.
	unusable []string
	notes    []string
}

// openMarket lists what the pools may buy; without pools, what defaultPools may.
func openMarket(ctx context.Context, o *planOptions, objects *workload.Objects, pods []*corev1.Pod) (*market, error) {
	source, err := openSource(ctx, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m := &market{pools: slices.Clone(objects.NodePools), types: map[string]offering.Type{}}
	currentOnly := len(m.pools) == 0
	if currentOnly {
		m.pools = defaultPools(pods)
	}
	slices.SortFunc(m.pools, func(a, b *v1alpha1.NodePool) int { return cmp.Compare(a.Name, b.Name) })
	for _, pool := range m.pools {
		if why := unready(pool); why != "" {
			m.unusable = append(m.unusable, "nodepool "+pool.Name+": "+why)
			continue
		}
		class := m.classOf(pool, objects.NodeClasses)
		types, err := source.Types(ctx, class)
		if err != nil {
			return nil, fmt.Errorf("instance types for NodePool %s: %w", pool.Name, err)
		}
		for _, t := range types {
			m.types[t.Name] = t
		}
		if currentOnly {
			types = slices.DeleteFunc(slices.Clone(types), func(t offering.Type) bool { return !t.Current })
		}
		offers, err := offering.Of(pool, types)
		if err != nil {
			return nil, fmt.Errorf("%w: NodePool %s: %w", input.ErrWrong, pool.Name, err)
		}
		m.offers = append(m.offers, offers.Available...)
		if len(offers.Available) == 0 {
			m.unusable = append(m.unusable, "nodepool "+pool.Name+": no offering matches its requirements")
		}
	}
	return m, nil
}

// unready says why a live pool launches nothing.
func unready(pool *v1alpha1.NodePool) string {
	if pool.DeletionTimestamp != nil {
		return "is being deleted"
	}
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
		return "not ready: " + c.Message
	}
	return ""
}

// classOf finds the pool's class; nil stands for the defaults.
func (m *market) classOf(pool *v1alpha1.NodePool, classes []*v1alpha1.EC2NodeClass) *v1alpha1.EC2NodeClass {
	ref := pool.Spec.Template.Spec.NodeClassRef
	if ref == nil {
		return nil
	}
	i := slices.IndexFunc(classes, func(c *v1alpha1.EC2NodeClass) bool { return c.Name == ref.Name })
	if i >= 0 {
		return classes[i]
	}
	m.notes = append(m.notes, fmt.Sprintf("EC2NodeClass %s of NodePool %s is not among the input; the defaults are used", ref.Name, pool.Name))
	return nil
}

// explain adds to the reasons what keeps pools from being used at all.
func (m *market) explain(unplaced []fit.Unplaced) {
	for i, u := range unplaced {
		if len(m.offers) == 0 {
			unplaced[i].Reasons = m.unusable
		} else {
			unplaced[i].Reasons = slices.Concat(u.Reasons, m.unusable)
		}
	}
}

// resourceGPU is what the NVIDIA device plugin offers.
const resourceGPU corev1.ResourceName = "nvidia.com/gpu"

// defaultPools are used where the input has none: everything of the usual categories, and
// GPU types where pods ask for GPUs. These are tainted as is the custom, so that only pods
// that ask for GPUs go there; such pods are given the toleration that the API server's
// ExtendedResourceToleration plugin gives.
func defaultPools(pods []*corev1.Pod) []*v1alpha1.NodePool {
	in := func(key string, values ...string) v1alpha1.Requirement {
		return v1alpha1.Requirement{Key: key, Operator: v1alpha1.OpIn, Values: values}
	}
	newPool := func(name string, requirements ...v1alpha1.Requirement) *v1alpha1.NodePool {
		pool := &v1alpha1.NodePool{}
		pool.Name = name
		pool.Spec.Template.Spec.Requirements = append(requirements,
			in(corev1.LabelArchStable, "amd64", "arm64"),
			in(v1alpha1.LabelCapacityType, v1alpha1.CapacityTypeOnDemand, v1alpha1.CapacityTypeSpot),
			v1alpha1.Requirement{Key: v1alpha1.LabelInstanceGen, Operator: v1alpha1.OpGte, Values: []string{"3"}})
		return pool
	}
	pools := []*v1alpha1.NodePool{newPool("default", in(v1alpha1.LabelInstanceCategory, "c", "m", "r"),
		v1alpha1.Requirement{Key: v1alpha1.LabelInstanceGPUCount, Operator: v1alpha1.OpDoesNotExist})}
	wanted := false
	for _, pod := range pods {
		if wantsGPU(pod) {
			wanted = true
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: string(resourceGPU), Operator: corev1.TolerationOpExists})
		}
	}
	if wanted {
		gpus := newPool("default-gpu", v1alpha1.Requirement{Key: v1alpha1.LabelInstanceGPUCount, Operator: v1alpha1.OpExists})
		gpus.Spec.Template.Spec.Taints = []corev1.Taint{{Key: string(resourceGPU), Effect: corev1.TaintEffectNoSchedule}}
		pools = append(pools, gpus)
	}
	return pools
}

func wantsGPU(pod *corev1.Pod) bool {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if q := c.Resources.Requests[resourceGPU]; !q.IsZero() {
			return true
		}
	}
	return false
}
