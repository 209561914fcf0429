package burst

import (
	"slices"
	"time"

	"github.com/slipway-dev/slipway/scripts/observe"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// Figures are what one burst showed, or the median of each over several runs.
type Figures struct {
	Nodes         int `json:"nodes"`
	MostPodsOnOne int `json:"mostPodsOnOneNode"`
	// BoundElsewhere pods are not on the node that a claim reserved for them.
	BoundElsewhere   int `json:"boundElsewhere"`
	Batches          int `json:"batches"`
	CreateFleetCalls int `json:"createFleetCalls"` // answered with instances
	RefusedCalls     int `json:"refusedCalls"`     // of any action, throttled ones among them

	// CreationSeconds is from the first pod's creation to the last one's.
	CreationSeconds float64 `json:"creationSeconds"`
	// CreatedToCreateFleet is, by pod, from its creation until the call came that launched its node.
	CreatedToCreateFleet observe.Percentiles `json:"createdToCreateFleetMs"`
	// ReadyToBound is, by pod, from its node having turned ready and free of the not-ready
	// taint, which kube-controller-manager removes, until it was bound there. For a pod that
	// was created later, as nodes for certain replicas may be ready before they are, it counts
	// from its creation.
	ReadyToBound observe.Percentiles `json:"readyToBoundMs"`
	// ReadyToAllBound is, by node, the same until the last of its pods was bound.
	ReadyToAllBound observe.Percentiles `json:"readyToAllBoundMs"`
	// All pods bound, from the first pod's creation and from the last one's.
	AllBoundSeconds             float64 `json:"allBoundSeconds"`
	AllBoundAfterLastPodSeconds float64 `json:"allBoundAfterLastPodSeconds"`

	Stages       []Stage            `json:"stages"`
	Processes    map[string]Process `json:"processes"`
	WritesPerPod map[string]float64 `json:"apiWritesPerPod"` // by verb and resource, whoever wrote
}

// Stage of a pod's way: when the pods had reached it, in milliseconds since the first pod was created.
type Stage struct {
	Name  string  `json:"name"`
	First float64 `json:"firstMs"`
	P50   float64 `json:"p50Ms"`
	P99   float64 `json:"p99Ms"`
	Last  float64 `json:"lastMs"`
}

// Process is what a process used during a burst; the peak is that of its resident memory.
type Process struct {
	CPUSeconds float64 `json:"cpuSeconds"`
	PeakMiB    float64 `json:"peakMiB"`
}

// measure makes figures of what was seen of a burst whose pods are bound.
func measure(v *observe.View, calls []simec2.Call, log told) Figures {
	f := Figures{Nodes: len(v.Nodes), Batches: log.batches}
	fleet := f.countCalls(calls)
	stages := map[string][]time.Time{
		"pods handed to the launcher": log.handedOver, "batch closed": log.batchClosed, "planned": log.planned,
	}
	reach := func(stage string, at time.Time) {
		if !at.IsZero() {
			stages[stage] = append(stages[stage], at)
		}
	}
	var toFleet, toBound, toAllBound []time.Duration
	lastOn, lastFor, podsOn := map[string]time.Time{}, map[string]time.Time{}, map[string]int{}
	for uid, p := range v.Pods {
		reach("created", p.Created)
		reach("marked unschedulable", p.Unschedulable)
		reach("bound", p.Bound)
		podsOn[p.Node]++
		lastOn[p.Node], lastFor[p.Node] = later(lastOn[p.Node], p.Bound), later(lastFor[p.Node], p.Created)
		if n := v.Nodes[p.Node]; n != nil {
			reach("node registered", n.Registered)
			reach("node ready", n.Ready)
			reach("node free of not-ready taint", n.Schedulable)
			toBound = append(toBound, max(0, p.Bound.Sub(later(n.Schedulable, p.Created))))
		}
		c := v.ClaimOf(uid)
		if c == nil || c.Status.NodeName != p.Node {
			f.BoundElsewhere++
			continue
		}
		reach("claim written", c.Written)
		reach("instance known", c.Launched)
		if at, ok := fleet[c.Status.InstanceID]; ok {
			reach("CreateFleet received", at)
			toFleet = append(toFleet, max(0, at.Sub(p.Created))) // a replica may be planned for before it is created
		}
	}
	for name, last := range lastOn {
		f.MostPodsOnOne = max(f.MostPodsOnOne, podsOn[name])
		if n := v.Nodes[name]; n != nil {
			toAllBound = append(toAllBound, max(0, last.Sub(later(n.Schedulable, lastFor[name]))))
		}
	}
	f.CreatedToCreateFleet = observe.PercentilesOf(toFleet)
	f.ReadyToBound, f.ReadyToAllBound = observe.PercentilesOf(toBound), observe.PercentilesOf(toAllBound)
	f.setStages(stages)
	return f
}

// countCalls returns when the CreateFleet call of each instance came.
func (f *Figures) countCalls(calls []simec2.Call) map[string]time.Time {
	fleet := map[string]time.Time{}
	for _, c := range calls {
		if c.Error != "" {
			f.RefusedCalls++
		}
		if c.Action != "CreateFleet" || len(c.InstanceIDs) == 0 {
			continue
		}
		f.CreateFleetCalls++
		for _, id := range c.InstanceIDs {
			if _, known := fleet[id]; !known { // a token used again is answered with the same instance
				fleet[id] = c.Time
			}
		}
	}
	return fleet
}

// stageNames in the order of a pod's way.
var stageNames = []string{
	"created", "pods handed to the launcher", "marked unschedulable", "batch closed", "planned", "claim written",
	"CreateFleet received", "instance known", "node registered", "node ready", "node free of not-ready taint", "bound",
}

func (f *Figures) setStages(stages map[string][]time.Time) {
	created, bound := stages["created"], stages["bound"]
	if len(created) == 0 || len(bound) == 0 {
		return
	}
	first := slices.MinFunc(created, time.Time.Compare)
	lastCreated, lastBound := slices.MaxFunc(created, time.Time.Compare), slices.MaxFunc(bound, time.Time.Compare)
	f.CreationSeconds = lastCreated.Sub(first).Seconds()
	f.AllBoundSeconds = lastBound.Sub(first).Seconds()
	f.AllBoundAfterLastPodSeconds = lastBound.Sub(lastCreated).Seconds()
	for _, name := range stageNames {
		var since []time.Duration
		for _, at := range stages[name] {
			since = append(since, at.Sub(first))
		}
		slices.Sort(since)
		q := func(q float64) float64 { return observe.Quantile(since, q) }
		f.Stages = append(f.Stages, Stage{Name: name, First: q(0), P50: q(0.5), P99: q(0.99), Last: q(1)})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
