package allocate

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// event is what an informer saw; claim, pod, owner or why is set.
type event struct {
	claim *v1alpha1.NodeClaim
	pod   *corev1.Pod
	owner client.Object
	gone  bool
	why   string // pods that fitted nothing may fit now
}

// subscribe forwards the informers' events that the loop cares about.
func (a *Allocator) subscribe(ctx context.Context) (<-chan event, error) {
	events := make(chan event, 1024)
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	changed := func(kind string) func(any, bool) {
		return func(any, bool) { send(event{why: kind + " changed"}) }
	}
	owner := func(o any, gone bool) { send(event{owner: o.(client.Object), gone: gone}) }
	// Kinds that are only read: their informers run before the loop first waits for one.
	for _, object := range []client.Object{&appsv1.DaemonSet{}, &corev1.Node{}, &corev1.ResourceQuota{}} {
		if _, err := a.cfg.Cache.GetInformer(ctx, object); err != nil {
			return nil, fmt.Errorf("watch %T: %w", object, err)
		}
	}
	watched := []struct {
		object client.Object
		handle func(object any, gone bool)
	}{
		{&v1alpha1.NodeClaim{}, func(o any, gone bool) { send(event{claim: o.(*v1alpha1.NodeClaim), gone: gone}) }},
		{&corev1.Pod{}, func(o any, gone bool) { send(event{pod: o.(*corev1.Pod), gone: gone}) }},
		{&appsv1.ReplicaSet{}, owner},
		{&appsv1.StatefulSet{}, owner},
		{&batchv1.Job{}, owner},
		{&v1alpha1.NodePool{}, changed("NodePools")},
		{&v1alpha1.EC2NodeClass{}, changed("EC2NodeClasses")},
		{&schedulingv1alpha2.PodGroup{}, changed("PodGroups")},
	}
	if err := a.servesPodGroups(); err != nil {
		if !meta.IsNoMatchError(err) {
			return nil, err
		}
		watched = watched[:len(watched)-1]
	}
	for _, s := range watched {
		informer, err := a.cfg.Cache.GetInformer(ctx, s.object)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", s.object, err)
		}
		registration, err := informer.AddEventHandler(handler(s.handle))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", s.object, err)
		}
		context.AfterFunc(ctx, func() { _ = informer.RemoveEventHandler(registration) })
	}
	return events, nil
}

// servesPodGroups returns a NoMatch error where the API server does not serve PodGroups.
func (a *Allocator) servesPodGroups() error {
	kind := schedulingv1alpha2.SchemeGroupVersion.WithKind("PodGroup")
	if _, err := a.cfg.Client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil {
		return fmt.Errorf("look for PodGroups: %w", err)
	}
	return nil
}

// matters tells whether an update may change what the loop knows. NodePools count their nodes
// in their status, about once a second while nodes come: only their spec and readiness matter.
func matters(old, now client.Object) bool {
	var before, after []metav1.Condition
	switch o := now.(type) {
	case *v1alpha1.NodePool:
		before, after = old.(*v1alpha1.NodePool).Status.Conditions, o.Status.Conditions
	case *v1alpha1.EC2NodeClass:
		before, after = old.(*v1alpha1.EC2NodeClass).Status.Conditions, o.Status.Conditions
	case *schedulingv1alpha2.PodGroup:
		return false // its spec is immutable
	default:
		return old.GetResourceVersion() != now.GetResourceVersion()
	}
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(after, v1alpha1.ConditionReady)
	return old.GetGeneration() != now.GetGeneration() || (was == nil) != (is == nil) ||
		was != nil && (was.Status != is.Status || was.Message != is.Message)
}

// handler adapts one function to an informer.
func handler(handle func(object any, gone bool)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { handle(o, false) },
		UpdateFunc: func(old, o any) {
			if matters(old.(client.Object), o.(client.Object)) {
				handle(o, false)
			}
		},
		DeleteFunc: func(o any) {
			if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = tombstone.Obj
			}
			handle(o, true)
		},
	}
}
