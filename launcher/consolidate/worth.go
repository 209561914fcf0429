package consolidate

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/cluster"
	"github.com/slipway-dev/slipway/launcher/fit"
)

// amount of what nearly every pod requests.
type amount struct{ cpu, memory, pods float64 } // milli-CPUs, bytes

func (a *amount) add(b amount) {
	a.cpu, a.memory, a.pods = a.cpu+b.cpu, a.memory+b.memory, a.pods+b.pods
}

func (a *amount) subtract(b amount) {
	a.cpu, a.memory, a.pods = a.cpu-b.cpu, a.memory-b.memory, a.pods-b.pods
}

// within tells whether there is no more of anything than in b.
func (a amount) within(b amount) bool {
	return a.cpu <= b.cpu && a.memory <= b.memory && a.pods <= b.pods
}

// moves tells whether a pod will come elsewhere when its node goes: it does not belong to the
// node, and is not ending anyway.
func moves(pod *corev1.Pod) bool { return !cluster.IsDaemonPod(pod) && pod.DeletionTimestamp == nil }

// movable sums up the pods on a node that move when it goes.
func movable(info *framework.NodeInfo) (sum amount) {
	for _, p := range info.Pods {
		if !moves(p.GetPod()) {
			continue
		}
		r := p.CalculateResource().Resource
		sum.add(amount{float64(r.GetMilliCPU()), float64(r.GetMemory()), 1})
	}
	return sum
}

// freeOn is the room that a node has left.
func freeOn(info *framework.NodeInfo) amount {
	return amount{
		max(0, float64(info.Allocatable.MilliCPU-info.Requested.MilliCPU)), max(0, float64(info.Allocatable.Memory-info.Requested.Memory)),
		max(0, float64(info.Allocatable.AllowedPodNumber-len(info.Pods))),
	}
}

// rates are prices of a milli-CPU and a byte in US dollars per hour.
type rates struct{ cpu, memory float64 }

// of returns what an amount is worth.
func (r rates) of(a amount) float64 { return r.cpu*a.cpu + r.memory*a.memory }

// ratesFor finds the rates by which pods are worth the most while no template is worth more
// than its price: the best bound on the price of any nodes for them that two rates can prove.
func ratesFor(templates []fit.Template, pods amount) rates {
	type size struct{ cpu, memory, price float64 }
	var sizes []size
	most := math.Inf(1) // of the CPU's rate
	for i := range templates {
		has := templates[i].Node.Status.Allocatable
		s := size{float64(has.Cpu().MilliValue()), float64(has.Memory().Value()), templates[i].Price}
		if s.cpu <= 0 || s.memory <= 0 {
			continue
		}
		sizes = append(sizes, s)
		most = min(most, s.price/s.cpu)
	}
	if len(sizes) == 0 {
		return rates{}
	}
	// The more a CPU takes, the less is left for memory; what pods are worth is concave in that.
	at := func(cpu float64) rates {
		r := rates{cpu, math.Inf(1)}
		for _, s := range sizes {
			r.memory = min(r.memory, (s.price-cpu*s.cpu)/s.memory)
		}
		r.memory = max(0, r.memory) // rounded below it
		return r
	}
	low, high := 0.0, most
	for range 60 { // each leaves two thirds
		a, b := low+(high-low)/3, high-(high-low)/3
		if at(a).of(pods) < at(b).of(pods) {
			low = a
		} else {
			high = b
		}
	}
	return at((low + high) / 2)
}
