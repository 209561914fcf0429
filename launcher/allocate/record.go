package allocate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// record is what the loop knows of a NodeClaim.
type record struct {
	// seen is the claim as the API server had it, when last heard of.
	seen *v1alpha1.NodeClaim
	// claim as last seen or as just written, with the pods that were seated: the planner
	// must count them although the cache may not show them yet.
	claim *v1alpha1.NodeClaim
	// leaving claims are on their way out; their instances still count against limits.
	leaving bool
	// cancelled claims were told to go, and have not gone yet.
	cancelled bool
	// inherited claims were there before this leader; see loop.inherited.
	inherited bool
	// released pods: what the cache shows may be older.
	released sets.Set[types.UID]
	// seated pods took expected pods' places and may not be written on the claim yet.
	seated []v1alpha1.ReservedPod
}

// see takes in a version of the claim, as the API server has it: what shows is shown by the
// record itself, and that it does proves nothing.
func (r *record) see(claim *v1alpha1.NodeClaim) {
	held := sets.New[types.UID]()
	for _, p := range claim.HeldPods() {
		held.Insert(p.UID)
	}
	r.seated = slices.DeleteFunc(r.seated, func(p v1alpha1.ReservedPod) bool { return held.Has(p.UID) || r.released.Has(p.UID) })
	r.seen, r.claim = claim, claim
	r.show(r.seated, r.unsaved())
}

// seat reserves an expected pod's place for a pod that has come.
func (r *record) seat(pod *corev1.Pod) {
	p := reservedPod(pod)
	r.seated = append(r.seated, p)
	r.show([]v1alpha1.ReservedPod{p}, nil)
}

// release notes that a pod holds no place there any more.
func (r *record) release(pod types.UID) {
	r.released.Insert(pod)
	r.show(nil, []types.UID{pod})
}

// unsaved are the pods whose release the claim does not say yet.
func (r *record) unsaved() []types.UID {
	return r.released.Difference(sets.New(r.seen.Status.Released...)).UnsortedList()
}

// writeReleases has the planner record what was released and is not on the claim, should that
// have failed: a later leader would take it for reserved.
func (l *loop) writeReleases(r *record) {
	unsaved := r.unsaved()
	waits := slices.ContainsFunc(l.queue, func(j job) bool { return j.released != nil && j.released.claim == r.seen.Name })
	if len(unsaved) > 0 && !waits {
		l.submit(job{released: &releasedPods{claim: r.seen.Name, pods: unsaved}})
	}
}

// show adds pods to what the claim shows as reserved for and as released. What an informer
// has given is not changed.
func (r *record) show(seated []v1alpha1.ReservedPod, released []types.UID) {
	if len(seated) == 0 && len(released) == 0 {
		return
	}
	c := *r.claim
	c.Status.Added = slices.Concat(c.Status.Added, seated)
	c.Status.Released = slices.Concat(c.Status.Released, released)
	r.claim = &c
}

// live returns the record of a claim that is not on its way out; nil if there is none.
func (l *loop) live(claim string) *record {
	if r := l.claims[claim]; r != nil && !r.leaving {
		return r
	}
	return nil
}

// held are the claims that count for a plan, and those that are on their way out.
func (l *loop) held() (claims, leaving []*v1alpha1.NodeClaim) {
	for _, r := range l.claims {
		if r.leaving || r.cancelled {
			leaving = append(leaving, r.claim)
		} else {
			claims = append(claims, r.claim)
		}
	}
	return claims, leaving
}

func reservedPods(pods []*corev1.Pod) []v1alpha1.ReservedPod {
	reserved := make([]v1alpha1.ReservedPod, len(pods))
	for i, pod := range pods {
		reserved[i] = reservedPod(pod)
	}
	return reserved
}

func reservedPod(pod *corev1.Pod) v1alpha1.ReservedPod {
	return v1alpha1.ReservedPod{UID: pod.UID, Namespace: pod.Namespace, Name: pod.Name}
}
