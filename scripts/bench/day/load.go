package day

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// workload is a Deployment or a Job.
type workload struct {
	name   string
	sample *corev1.Pod
	// low and high are the replicas of a Deployment by night and at its peak, which is at
	// noon and its lag.
	low, high float64
	lag       time.Duration
	rollout   time.Duration // when its pods are replaced by those of another template; 0 for never
	// starts, runs and replicas are those of a Job.
	starts, runs time.Duration
	replicas     int

	serial   int
	revision int
	pods     []*pod
}

// load is all that the cluster is asked to run in a day.
type load struct {
	deployments []*workload
	jobs        []*workload // by the time at which they start
}

// Sizes of the load.
const (
	diurnals     = 60 // Deployments that follow the sun
	constants    = 20
	hourlyJobs   = 15
	nightlyPods  = 400
	nightlyStart = 2 * time.Hour
)

// newLoad draws a day: Deployments of 0.1 to 4 CPUs and 0.5 to 8 GiB a CPU, half of them
// spread over zones, a third kept off spot capacity, each rolled out once between 9 and 17 h;
// small Jobs all day and large ones at night, whose pods must not be disrupted.
func newLoad(r *rand.Rand) *load {
	l := &load{}
	for i := range diurnals + constants {
		w := &workload{name: fmt.Sprintf("app-%d", i)}
		w.sample = samplePod(r, w.name)
		w.high = 2 + 60*math.Pow(r.Float64(), 3)
		w.low = w.high
		if i < diurnals {
			w.low = max(1, w.high*(0.1+0.3*r.Float64()))
			w.lag = time.Duration(r.IntN(7)-3) * time.Hour
		}
		if r.IntN(2) == 0 {
			spreadOverZones(w.sample)
		}
		if r.IntN(3) == 0 {
			w.sample.Spec.NodeSelector = map[string]string{v1alpha1.LabelCapacityType: v1alpha1.CapacityTypeOnDemand}
		}
		w.rollout = 9*time.Hour + time.Duration(r.IntN(8*3600))*time.Second
		l.deployments = append(l.deployments, w)
	}
	for i, at := 0, time.Duration(0); at < 24*time.Hour; i++ {
		l.addJob(r, fmt.Sprintf("job-%d", i), at, 1+int(20*math.Pow(r.Float64(), 2)), time.Duration(180+r.IntN(2500))*time.Second)
		at += time.Duration(r.ExpFloat64() * float64(time.Hour) / hourlyJobs)
	}
	for i := range 4 {
		l.addJob(r, fmt.Sprintf("nightly-%d", i), nightlyStart+time.Duration(i)*10*time.Minute, nightlyPods/4, time.Hour+time.Duration(r.IntN(1800))*time.Second)
	}
	return l
}

func (l *load) addJob(r *rand.Rand, name string, starts time.Duration, replicas int, runs time.Duration) {
	w := &workload{name: name, sample: samplePod(r, name), starts: starts, runs: runs, replicas: replicas}
	w.sample.Annotations = map[string]string{v1alpha1.DoNotDisruptAnnotation: "true"}
	l.jobs = append(l.jobs, w)
}

// samplePod draws a pod's requests.
func samplePod(r *rand.Rand, owner string) *corev1.Pod {
	milliCPU := 100 * (1 + int(39*math.Pow(r.Float64(), 3)))
	mebibytes := int(float64(milliCPU) * (0.5 + 7.5*r.Float64()) * 1.024)
	pod := &corev1.Pod{}
	pod.Namespace, pod.Labels = corev1.NamespaceDefault, map[string]string{"app": owner}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: new(true)}}
	pod.Spec.SchedulerName = schedulerName
	pod.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(fmt.Sprintf("%dm", milliCPU)),
		corev1.ResourceMemory: resource.MustParse(fmt.Sprintf("%dMi", mebibytes)),
	}}}}
	return pod
}

func spreadOverZones(pod *corev1.Pod) {
	pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: &metav1.LabelSelector{MatchLabels: pod.Labels}, MatchLabelKeys: []string{},
	}}
}

// wanted is how many replicas a Deployment's autoscaler asks for: a cosine from night to noon,
// asked for once a minute.
func (w *workload) wanted(now time.Duration) int {
	hours := (now.Truncate(time.Minute) - w.lag).Hours()
	sun := math.Pow((1-math.Cos(2*math.Pi*hours/24))/2, 1.5)
	return int(math.Round(w.low + (w.high-w.low)*sun))
}

// create makes one more pod of the workload's current revision.
func (w *workload) create(now time.Duration) *pod {
	w.serial++
	p := &pod{Pod: w.sample.DeepCopy(), owner: w, revision: w.revision, created: now}
	p.Name = w.name + "-" + strconv.Itoa(w.serial)
	p.UID = types.UID(p.Name)
	w.pods = append(w.pods, p)
	return p
}
