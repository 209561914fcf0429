package plugin

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// crowdedOut returns why the pod must stay off the node because of the pods that hold
// room there, or "" if it may go there. Holders of lower priority give way. Holders that
// are in info already, bound, assumed or added as nominated, count there only.
func crowdedOut(pod *ledger.Pod, info fwk.NodeInfo, holders []ledger.Holder) string {
	if len(holders) == 0 {
		return ""
	}
	here := podsOf(info)
	var held ledger.Resources
	count := 0
	var ports fwk.HostPortInfo
	for _, h := range holders {
		if h.Pod == nil || h.UID == pod.UID || h.Pod.Priority < pod.Priority {
			continue
		}
		if _, counted := here[h.UID]; counted {
			continue
		}
		count++
		add(&held, h.Pod.Requests)
		for _, port := range h.Pod.Ports {
			if ports == nil {
				ports = fwk.HostPortInfo{}
			}
			ports.Add(port.HostIP, string(port.Protocol), port.HostPort)
		}
	}
	if count == 0 {
		return ""
	}
	for _, port := range pod.Ports {
		if ports.CheckConflict(port.HostIP, string(port.Protocol), port.HostPort) {
			return "node(s) had their host ports promised to other pods"
		}
	}
	if lacking := lacks(pod.Requests, held, count, info); lacking != "" {
		return "node(s) had their " + string(lacking) + " promised to other pods"
	}
	return ""
}

func podsOf(info fwk.NodeInfo) map[types.UID]struct{} {
	pods := info.GetPods()
	here := make(map[types.UID]struct{}, len(pods))
	for _, pi := range pods {
		here[pi.GetPod().UID] = struct{}{}
	}
	return here
}

// lacks names the first resource of which too little is left. As everywhere in the
// scheduler, what is not requested is not looked at.
func lacks(want, held ledger.Resources, count int, info fwk.NodeInfo) v1.ResourceName {
	has, used := info.GetAllocatable(), info.GetRequested()
	if len(info.GetPods())+count+1 > has.GetAllowedPodNumber() {
		return v1.ResourcePods
	}
	for _, r := range []struct {
		name                  v1.ResourceName
		want, held, has, used int64
	}{
		{v1.ResourceCPU, want.MilliCPU, held.MilliCPU, has.GetMilliCPU(), used.GetMilliCPU()},
		{v1.ResourceMemory, want.Memory, held.Memory, has.GetMemory(), used.GetMemory()},
		{v1.ResourceEphemeralStorage, want.EphemeralStorage, held.EphemeralStorage, has.GetEphemeralStorage(), used.GetEphemeralStorage()},
	} {
		if r.want > 0 && r.want > r.has-r.used-r.held {
			return r.name
		}
	}
	for name, amount := range want.Scalar {
		if amount > 0 && amount > has.GetScalarResources()[name]-used.GetScalarResources()[name]-held.Scalar[name] {
			return name
		}
	}
	return ""
}

func add(sum *ledger.Resources, r ledger.Resources) {
	sum.MilliCPU += r.MilliCPU
	sum.Memory += r.Memory
	sum.EphemeralStorage += r.EphemeralStorage
	for name, amount := range r.Scalar {
		if sum.Scalar == nil {
			sum.Scalar = map[v1.ResourceName]int64{}
		}
		sum.Scalar[name] += amount
	}
}
