package allocate

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// want is how many pods an owner wants to have at once, and has.
type want struct {
	pods, has int
	// known is whether pods is; certain is whether all of them will come, each like the others.
	known, certain bool
}

// wanted asks the owner of some pods, as the cache shows it.
func (l *loop) wanted(namespace string, owner *metav1.OwnerReference) want {
	o := l.ownerOf(namespace, owner)
	if o == nil {
		return want{}
	}
	w := wantOf(o)
	w.certain = w.certain && !l.quota(namespace)
	return w
}

// ownerOf reads the owner of some pods from the cache; nil if it is not known. It must not
// be changed.
func (l *loop) ownerOf(namespace string, owner *metav1.OwnerReference) client.Object {
	var o client.Object
	switch owner.Kind {
	case "ReplicaSet":
		o = &appsv1.ReplicaSet{}
	case "StatefulSet":
		o = &appsv1.StatefulSet{}
	case "Job":
		o = &batchv1.Job{}
	default:
		return nil
	}
	key := types.NamespacedName{Namespace: namespace, Name: owner.Name}
	if l.cfg.Client.Get(l.ctx, key, o, client.UnsafeDisableDeepCopy) != nil || o.GetUID() != owner.UID {
		return nil
	}
	return o
}

// wantOf reads a ReplicaSet, a StatefulSet or a Job.
func wantOf(owner client.Object) want {
	switch o := owner.(type) {
	case *appsv1.ReplicaSet:
		failing := slices.ContainsFunc(o.Status.Conditions, func(c appsv1.ReplicaSetCondition) bool {
			return c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue
		})
		return want{orOne(o.Spec.Replicas), int(o.Status.Replicas), true, !failing}
	case *appsv1.StatefulSet:
		if o.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			return want{1, 1, true, true} // one after the other
		}
		// While a revision is rolled out the pods are not all alike.
		alike := o.Status.CurrentRevision == o.Status.UpdateRevision && len(o.Spec.VolumeClaimTemplates) == 0
		return want{orOne(o.Spec.Replicas), int(o.Status.Replicas), true, alike}
	case *batchv1.Job:
		n := orOne(o.Spec.Parallelism)
		if o.Spec.Completions != nil {
			n = min(n, int(*o.Spec.Completions-o.Status.Succeeded))
		}
		suspended := o.Spec.Suspend != nil && *o.Spec.Suspend
		return want{n, int(o.Status.Active), true, !suspended && len(o.Status.Conditions) == 0}
	}
	return want{}
}

func orOne(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// quota tells whether something may keep a namespace's pods from being created.
func (l *loop) quota(namespace string) bool {
	var quotas corev1.ResourceQuotaList
	err := l.cfg.Client.List(l.ctx, &quotas, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	return err != nil || len(quotas.Items) > 0
}

// ownerSeen notes whether an owner of pods of ours is about to create some.
func (l *loop) ownerSeen(o client.Object, gone bool) {
	w := wantOf(o)
	if !gone && w.certain && w.has < w.pods && l.cfg.Engines[schedulerOf(o)] != nil {
		l.growing.Insert(o.GetUID())
		return
	}
	l.growing.Delete(o.GetUID())
}

// schedulerOf is the scheduler of an owner's pods.
func schedulerOf(owner client.Object) string {
	switch o := owner.(type) {
	case *appsv1.ReplicaSet:
		return o.Spec.Template.Spec.SchedulerName
	case *appsv1.StatefulSet:
		return o.Spec.Template.Spec.SchedulerName
	case *batchv1.Job:
		return o.Spec.Template.Spec.SchedulerName
	}
	return ""
}
