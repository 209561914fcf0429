// Package report owns what the command prints: a plan as a document with a schema
// (schema.json), and as a table for people.
package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// Schema is the JSON Schema of Result.
//
//go:embed schema.json
var Schema []byte

// Result is a plan. Pods are named "namespace/name"; all lists are sorted.
type Result struct {
	Pods     int        `json:"pods"` // that need a place
	Placed   int        `json:"placed"`
	Unplaced []Unplaced `json:"unplaced"`
	Existing []Existing `json:"existing"`
	Nodes    []Node     `json:"nodes"`
	// PricePerHour of all Nodes, and the least any plan for their pods could cost, in dollars.
	PricePerHour      float64 `json:"pricePerHour"`
	LowerBoundPerHour float64 `json:"lowerBoundPerHour"`
	Elapsed           Elapsed `json:"elapsedMs"`
}

// Unplaced is a pod without a place.
type Unplaced struct {
	Pod     string   `json:"pod"`
	Reasons []string `json:"reasons"`
}

// Existing is a node of the input that takes pods.
type Existing struct {
	Name string   `json:"name"`
	Pods []string `json:"pods"`
}

// Node is a node to buy.
type Node struct {
	NodePool     string              `json:"nodePool"`
	InstanceType string              `json:"instanceType"`
	Zone         string              `json:"zone"`
	CapacityType string              `json:"capacityType"`
	PricePerHour float64             `json:"pricePerHour"`
	Allocatable  corev1.ResourceList `json:"allocatable"`
	// Requested by its pods and by the DaemonSets' pods that will run on it.
	Requested corev1.ResourceList `json:"requested"`
	Pods      []string            `json:"pods"`
}

// Elapsed is how long the parts took, in milliseconds.
type Elapsed struct {
	Read   float64 `json:"read"`
	Fit    float64 `json:"fit"`
	Pack   float64 `json:"pack"`
	Verify float64 `json:"verify"`
}

// New makes the result of a plan whose templates are the offers.
func New(plan *fit.Plan, offers []offering.Offer, pods int, read time.Duration) *Result {
	r := &Result{
		Pods: pods, Placed: pods - len(plan.Unplaced),
		Unplaced: []Unplaced{}, Existing: []Existing{}, Nodes: []Node{},
		PricePerHour: dollars(plan.Price), LowerBoundPerHour: dollars(plan.LowerBound),
		Elapsed: Elapsed{ms(read), ms(plan.Took.Fit), ms(plan.Took.Pack), ms(plan.Took.Verify)},
	}
	for _, u := range plan.Unplaced {
		reasons := u.Reasons
		if reasons == nil {
			reasons = []string{}
		}
		r.Unplaced = append(r.Unplaced, Unplaced{workload.Key(u.Pod), reasons})
	}
	for _, e := range plan.Reused {
		r.Existing = append(r.Existing, Existing{e.Node, names(e.Pods)})
	}
	for _, n := range plan.Nodes {
		o := offers[n.Templates[0]]
		r.Nodes = append(r.Nodes, Node{
			NodePool: o.Pool.Name, InstanceType: o.Type, Zone: o.Zone, CapacityType: o.CapacityType, PricePerHour: o.Cost(),
			Allocatable: o.Node.Status.Allocatable, Requested: n.Requests, Pods: names(n.Pods),
		})
	}
	slices.SortFunc(r.Unplaced, func(a, b Unplaced) int { return strings.Compare(a.Pod, b.Pod) })
	slices.SortFunc(r.Existing, func(a, b Existing) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Nodes, func(a, b Node) int {
		return cmp.Or(
			strings.Compare(a.NodePool, b.NodePool), cmp.Compare(b.PricePerHour, a.PricePerHour),
			strings.Compare(a.InstanceType, b.InstanceType), strings.Compare(a.Zone, b.Zone),
			strings.Compare(a.CapacityType, b.CapacityType), slices.Compare(a.Pods, b.Pods),
		)
	})
	return r
}

func names(pods []*corev1.Pod) []string {
	all := make([]string, 0, len(pods))
	for _, p := range pods {
		all = append(all, workload.Key(p))
	}
	slices.Sort(all)
	return all
}

// dollars rounds to a millionth.
func dollars(price float64) float64 { return math.Round(price*1e6) / 1e6 }

func ms(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }

// JSON writes the result as JSON.
func (r *Result) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// YAML writes the result as YAML.
func (r *Result) YAML(w io.Writer) error {
	raw, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}
