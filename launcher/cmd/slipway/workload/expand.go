package workload

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	podcontroller "k8s.io/kubernetes/pkg/controller"
	"k8s.io/utils/ptr"
)

// made is a pod that a controller will create.
type made struct {
	pod   *corev1.Pod
	owner string
}

// expansion creates the pods that controllers still lack.
type expansion struct {
	objects *Objects
	live    map[controller]map[string]bool // names of pods, by their controller
	made    []made
}

// expand lists the pods that the controllers want beyond the live ones. Of a chain of
// controllers (a Deployment and its ReplicaSet, a CronJob and its Job) the outermost counts.
func expand(o *Objects, live []*corev1.Pod) []made {
	e := &expansion{objects: o, live: map[controller]map[string]bool{}}
	for _, pod := range live {
		if c, ok := controllerOf(pod, o); ok && pod.DeletionTimestamp == nil {
			if e.live[c] == nil {
				e.live[c] = map[string]bool{}
			}
			e.live[c][pod.Name] = true
		}
	}
	wanted := map[controller]bool{}
	for _, d := range o.Deployments {
		c := controller{"Deployment", d.Namespace, d.Name}
		wanted[c] = true
		e.replicas(c, d.Name, d.Spec.Replicas, &d.Spec.Template)
	}
	for _, rs := range o.ReplicaSets {
		c := controller{"ReplicaSet", rs.Namespace, rs.Name}
		if outer := parent(c, metav1.GetControllerOf(rs)); !wanted[outer] {
			e.replicas(outer, rs.Name, rs.Spec.Replicas, &rs.Spec.Template)
		}
	}
	for _, s := range o.StatefulSets {
		e.statefulSet(s)
	}
	for _, j := range o.Jobs {
		c := controller{"Job", j.Namespace, j.Name}
		e.job(parent(c, metav1.GetControllerOf(j)), j.Name, &j.Spec, &j.Status)
		wanted[parent(c, metav1.GetControllerOf(j))] = true
	}
	for _, cj := range o.CronJobs {
		c := controller{"CronJob", cj.Namespace, cj.Name}
		if !wanted[c] && !ptr.Deref(cj.Spec.Suspend, false) { // else its live Job stands for it
			e.job(c, cj.Name, &cj.Spec.JobTemplate.Spec, nil)
		}
	}
	return e.made
}

// replicas fills a Deployment or ReplicaSet up.
func (e *expansion) replicas(c controller, name string, replicas *int32, template *corev1.PodTemplateSpec) {
	hash := podcontroller.ComputeHash(template, nil)
	missing := int(ptr.Deref(replicas, 1)) - len(e.live[c])
	for i := range max(missing, 0) {
		pod := e.pod(c, fmt.Sprintf("%s-%s-%d", name, hash, i), template)
		if pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == "" && c.kind == "Deployment" {
			pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
		}
	}
}

// statefulSet fills a StatefulSet up, with the claims of its pods.
func (e *expansion) statefulSet(s *appsv1.StatefulSet) {
	c := controller{"StatefulSet", s.Namespace, s.Name}
	start := int32(0)
	if s.Spec.Ordinals != nil {
		start = s.Spec.Ordinals.Start
	}
	for i := start; i < start+ptr.Deref(s.Spec.Replicas, 1); i++ {
		name := fmt.Sprintf("%s-%d", s.Name, i)
		if e.live[c][name] {
			continue
		}
		pod := e.pod(c, name, &s.Spec.Template)
		pod.Spec.Hostname = name
		pod.Labels[appsv1.StatefulSetPodNameLabel] = name
		pod.Labels[appsv1.PodIndexLabel] = fmt.Sprint(i)
		for _, template := range s.Spec.VolumeClaimTemplates {
			e.claim(pod, &template)
		}
	}
}

// claim gives the pod a volume of a claim template, and creates the claim where there is none.
func (e *expansion) claim(pod *corev1.Pod, template *corev1.PersistentVolumeClaim) {
	name := template.Name + "-" + pod.Name
	volume := corev1.Volume{Name: template.Name}
	volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
	replaced := false
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == volume.Name {
			pod.Spec.Volumes[i], replaced = volume, true
		}
	}
	if !replaced {
		pod.Spec.Volumes = append(pod.Spec.Volumes, volume)
	}
	for _, have := range e.objects.PersistentVolumeClaims {
		if have.Namespace == pod.Namespace && have.Name == name {
			return
		}
	}
	claim := template.DeepCopy()
	claim.Namespace, claim.Name = pod.Namespace, name
	e.objects.PersistentVolumeClaims = append(e.objects.PersistentVolumeClaims, claim)
}

// job creates the pods that a Job runs at a time; a Job without status has not begun.
func (e *expansion) job(c controller, name string, spec *batchv1.JobSpec, status *batchv1.JobStatus) {
	wanted := ptr.Deref(spec.Parallelism, 1)
	left := ptr.Deref(spec.Completions, wanted)
	if status != nil {
		for _, condition := range status.Conditions {
			ended := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed
			if ended && condition.Status == corev1.ConditionTrue {
				return
			}
		}
		if spec.Completions != nil {
			left -= status.Succeeded
		}
	}
	if ptr.Deref(spec.Suspend, false) {
		return
	}
	missing := int(min(wanted, left)) - len(e.live[c])
	for i := range max(missing, 0) {
		e.pod(c, fmt.Sprintf("%s-%d", name, i), &spec.Template)
	}
}

// pod makes a pod of a template.
func (e *expansion) pod(c controller, name string, template *corev1.PodTemplateSpec) *corev1.Pod {
	template = template.DeepCopy()
	pod := &corev1.Pod{Spec: template.Spec}
	pod.Namespace, pod.Name = c.namespace, name
	pod.UID = types.UID("pod/" + Key(pod))
	pod.Annotations = template.Annotations
	pod.Labels = map[string]string{}
	maps.Copy(pod.Labels, template.Labels)
	corev1defaults.SetObjectDefaults_Pod(pod) // requests from limits, which a template does not get
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: c.kind, Name: c.name, Controller: new(true)}}
	e.made = append(e.made, made{pod, c.String()})
	return pod
}
