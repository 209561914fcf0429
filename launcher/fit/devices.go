package fit

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	resourceslicetracker "k8s.io/dynamic-resource-allocation/resourceslice/tracker"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/util/assumecache"
)

// Devices are published by drivers that run on nodes: a node to be bought has none until it
// is there. So a pod that claims devices finds them on nodes that exist, or among those that
// are tied to no node. Which of them it gets is the plugin's choice. It makes it when it
// reserves, and devices remembers it for the rest of the plan.

// devices is what the DynamicResources plugin is told of the claims for devices: what the API
// server holds, and over it what the plan has allocated. It is the plugin's own view of a
// cluster in which the plan's pods have been bound one after the other.
type devices struct {
	fwk.SharedDRAManager
	claims *deviceClaims
	// synced says when the manager's caches have what the informers behind them had at first.
	synced []cache.DoneChecker
}

// deviceClaims implements fwk.ResourceClaimTracker.
type deviceClaims struct {
	fwk.ResourceClaimTracker
	planned map[types.UID]*plannedClaim
	// signalled are the claims that Reserve has just allocated.
	signalled []types.UID
}

// plannedClaim is a claim as it will be, and the pods of the plan that share it.
type plannedClaim struct {
	*resourceapi.ResourceClaim
	pods      sets.Set[types.UID]
	allocated bool // by the plan
}

var (
	_ fwk.SharedDRAManager     = &devices{}
	_ fwk.ResourceClaimTracker = &deviceClaims{}
)

// newDevices does as scheduler.New does: the DynamicResources plugin panics without a manager.
func newDevices(ctx context.Context, cfg Config) (*devices, error) {
	if !utilfeature.DefaultFeatureGate.Enabled(features.DynamicResourceAllocation) {
		return nil, nil
	}
	resources := cfg.Informers.Resource().V1()
	claims := assumecache.NewAssumeCache(klog.FromContext(ctx), resources.ResourceClaims().Informer(), "ResourceClaim", "", nil)
	slices, err := resourceslicetracker.StartTracker(ctx, resourceslicetracker.Options{
		EnableConsumableCapacity: utilfeature.DefaultFeatureGate.Enabled(features.DRAConsumableCapacity),
		SliceInformer:            resources.ResourceSlices(),
		KubeClient:               cfg.Client,
	})
	if err != nil {
		return nil, fmt.Errorf("resource slice tracker: %w", err)
	}
	manager := dynamicresources.NewDRAManager(ctx, claims, slices, cfg.Informers)
	if h, ok := manager.DeviceClassResolver().(cache.ResourceEventHandler); ok && utilfeature.DefaultFeatureGate.Enabled(features.DRAExtendedResource) {
		if _, err := resources.DeviceClasses().Informer().AddEventHandler(h); err != nil {
			return nil, fmt.Errorf("device classes: %w", err)
		}
	}
	heard := claims.AddEventHandler(cache.ResourceEventHandlerFuncs{})
	return &devices{
		manager, &deviceClaims{ResourceClaimTracker: manager.ResourceClaims(), planned: map[types.UID]*plannedClaim{}},
		[]cache.DoneChecker{heard.HasSyncedChecker(), slices.HasSyncedChecker()},
	}, nil
}

// ResourceClaims implements fwk.SharedDRAManager.
func (d *devices) ResourceClaims() fwk.ResourceClaimTracker { return d.claims }

// reset forgets what was allocated.
func (d *devices) reset() {
	for uid := range d.claims.planned {
		d.claims.forget(uid)
	}
}

// Get implements fwk.ResourceClaimTracker.
func (c *deviceClaims) Get(namespace, name string) (*resourceapi.ResourceClaim, error) {
	claim, err := c.ResourceClaimTracker.Get(namespace, name)
	if err != nil {
		return nil, err
	}
	return c.asPlanned(claim), nil
}

// List implements fwk.ResourceClaimTracker.
func (c *deviceClaims) List() ([]*resourceapi.ResourceClaim, error) {
	all, err := c.ResourceClaimTracker.List()
	for i, claim := range all {
		all[i] = c.asPlanned(claim)
	}
	return all, err
}

func (c *deviceClaims) asPlanned(claim *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	if p, ok := c.planned[claim.UID]; ok {
		return p.ResourceClaim
	}
	return claim
}

// GetPendingAllocation implements fwk.ResourceClaimTracker: the plan's pods are as good as bound.
func (c *deviceClaims) GetPendingAllocation(types.UID) *resourceapi.AllocationResult { return nil }

// SignalClaimPendingAllocation implements fwk.ResourceClaimTracker. The tracker beneath
// keeps the devices from being allocated again.
func (c *deviceClaims) SignalClaimPendingAllocation(uid types.UID, claim *resourceapi.ResourceClaim) error {
	if err := c.ResourceClaimTracker.SignalClaimPendingAllocation(uid, claim); err != nil {
		return err
	}
	c.planned[uid] = &plannedClaim{claim.DeepCopy(), sets.New[types.UID](), true}
	c.signalled = append(c.signalled, uid)
	return nil
}

// share notes that a pod uses a claim.
func (c *deviceClaims) share(claim *resourceapi.ResourceClaim, pod *corev1.Pod) {
	p := c.planned[claim.UID]
	if p == nil {
		p = &plannedClaim{claim.DeepCopy(), sets.New[types.UID](), false}
		c.planned[claim.UID] = p
	}
	p.pods.Insert(pod.UID)
	if !resourceclaim.IsReservedForPod(pod, p.ResourceClaim, false) {
		p.Status.ReservedFor = append(p.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: pod.Name, UID: pod.UID})
	}
}

// leave takes a pod off its claims; the last one to leave gives their devices back.
func (c *deviceClaims) leave(pod *corev1.Pod) {
	for uid, p := range c.planned {
		if !p.pods.Has(pod.UID) {
			continue
		}
		p.pods.Delete(pod.UID)
		p.Status.ReservedFor = slices.DeleteFunc(p.Status.ReservedFor, func(r resourceapi.ResourceClaimConsumerReference) bool { return r.UID == pod.UID })
		if len(p.pods) == 0 {
			c.forget(uid)
		}
	}
}

func (c *deviceClaims) forget(uid types.UID) {
	if c.planned[uid].allocated {
		c.MaybeRemoveClaimPendingAllocation(uid, true)
	}
	delete(c.planned, uid)
}

// devicePlugin is the DynamicResources plugin, save that what it reserves stays in memory:
// its own Unreserve patches and deletes claims in the API server.
type devicePlugin struct {
	*dynamicresources.DynamicResources
	claims *deviceClaims
}

// withDevices has a registry's plugin reserve in memory.
func withDevices(d *devices, inner frameworkruntime.PluginFactory, made func(*devicePlugin)) frameworkruntime.PluginFactory {
	return func(ctx context.Context, args runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
		p, err := inner(ctx, args, h)
		if err != nil {
			return nil, err
		}
		plugin, ok := p.(*dynamicresources.DynamicResources)
		if !ok || d == nil {
			return p, nil
		}
		wrapped := &devicePlugin{plugin, d.claims}
		made(wrapped)
		return wrapped, nil
	}
}

// PreFilter implements fwk.PreFilterPlugin. The API server takes no more than so many pods
// on one claim; the plugin would let more of them through, which then never bind.
func (p *devicePlugin) PreFilter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	for i := range pod.Spec.ResourceClaims {
		claim := p.claims.of(pod, &pod.Spec.ResourceClaims[i])
		if claim != nil && len(claim.Status.ReservedFor) >= resourceapi.ResourceClaimReservedForMaxSize && !resourceclaim.IsReservedForPod(pod, claim, false) {
			return nil, fwk.NewStatus(fwk.Unschedulable, fmt.Sprintf("resourceclaim %s: %d pods share it, and no more may", claim.Name, len(claim.Status.ReservedFor)))
		}
	}
	return p.DynamicResources.PreFilter(ctx, state, pod, nodes)
}

// Reserve implements fwk.ReservePlugin.
func (p *devicePlugin) Reserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	p.claims.signalled = p.claims.signalled[:0]
	status := p.DynamicResources.Reserve(ctx, state, pod, node)
	for _, uid := range p.claims.signalled {
		p.claims.share(p.claims.planned[uid].ResourceClaim, pod)
	}
	if !status.IsSuccess() {
		p.claims.leave(pod)
		return status
	}
	for i := range pod.Spec.ResourceClaims {
		if claim := p.claims.of(pod, &pod.Spec.ResourceClaims[i]); claim != nil {
			p.claims.share(claim, pod)
		}
	}
	return nil
}

// Unreserve implements fwk.ReservePlugin.
func (p *devicePlugin) Unreserve(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ string) {
	p.claims.leave(pod)
}

// of returns what a pod's claim refers to; nil when it refers to none, or to none that is known.
func (c *deviceClaims) of(pod *corev1.Pod, ref *corev1.PodResourceClaim) *resourceapi.ResourceClaim {
	name, _, err := resourceclaim.Name(pod, ref)
	if err != nil || name == nil {
		return nil
	}
	claim, err := c.Get(pod.Namespace, *name)
	if err != nil {
		return nil
	}
	return claim
}

// holdDevices allocates what the pods that are promised a node will be allocated there:
// until they are bound, their claims do not tell.
func (e *Engine) holdDevices(ctx context.Context) {
	if e.devicePlugin == nil {
		return
	}
	e.devices.reset()
	for _, n := range e.lister.nodes {
		for _, info := range n.GetPods() {
			if pod := info.GetPod(); len(pod.Spec.ResourceClaims) > 0 && pod.Spec.NodeName == "" {
				e.devicePlugin.hold(ctx, pod, n)
			}
		}
	}
}

// hold allocates a pod's claims on a node; a pod that is not allowed them there has to wait
// and holds nothing.
func (p *devicePlugin) hold(ctx context.Context, pod *corev1.Pod, n fwk.NodeInfo) {
	state := framework.NewCycleState()
	if _, status := p.PreFilter(ctx, state, pod, nil); status.IsSuccess() && p.Filter(ctx, state, pod, n).IsSuccess() {
		p.Reserve(ctx, state, pod, n.Node().Name)
	}
}

// likeClaims names the devices that a pod claims by what they are like: its own claims are
// as good as those that another pod has from an equal template.
func (e *Engine) likeClaims(pod *corev1.Pod) []corev1.PodResourceClaim {
	if e.devicePlugin == nil || len(pod.Spec.ResourceClaims) == 0 {
		return pod.Spec.ResourceClaims
	}
	like := make([]corev1.PodResourceClaim, len(pod.Spec.ResourceClaims))
	for i := range pod.Spec.ResourceClaims {
		like[i].Name = e.devices.claims.like(pod, &pod.Spec.ResourceClaims[i])
	}
	return like
}

// like describes the claim behind a pod's reference. One that is others' too, or that is
// allocated already, is like none but itself.
func (c *deviceClaims) like(pod *corev1.Pod, ref *corev1.PodResourceClaim) string {
	claim := c.of(pod, ref)
	switch {
	case claim == nil:
		return "unknown " + ref.String()
	case ref.ResourceClaimName != nil, claim.Status.Allocation != nil, claim.DeletionTimestamp != nil, resourceclaim.IsForPod(pod, claim, false) != nil:
		return "claim " + claim.Name
	}
	return "new " + claim.Spec.String()
}
