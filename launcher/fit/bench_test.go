package fit_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// diverse makes the mix that Karpenter's own benchmark packs: a fifth each generic, spread
// over zones, spread over hosts, drawn to its like in a zone, kept from its like on a host;
// five sizes of CPU, six of memory, seven values of a label and of what spread selects.
func diverse(n int) []*corev1.Pod {
	r := rand.New(rand.NewPCG(42, 1))
	value := func() string { return string(rune('a' + r.IntN(7))) }
	var all []*corev1.Pod
	add := func(n int, labels func() map[string]string, change func(*corev1.Pod)) {
		for range n {
			cpu := []string{"100m", "250m", "500m", "1", "1500m"}[r.IntN(5)]
			memory := []string{"100Mi", "256Mi", "512Mi", "1Gi", "2Gi", "4Gi"}[r.IntN(6)]
			pod := pods(1, fmt.Sprintf("p%d", len(all)), cpu, memory)[0]
			pod.Labels = labels()
			change(pod)
			all = append(all, pod)
		}
	}
	label := func() map[string]string { return map[string]string{"my-label": value()} }
	spreading := func(key string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			own := p.Labels
			p.Labels = label() // what it selects is drawn anew
			spread(key)(p)
			p.Labels = own
		}
	}
	add(n/5, label, spreading(corev1.LabelTopologyZone))
	add(n/5, label, spreading(corev1.LabelHostname))
	add(n/5, func() map[string]string { return map[string]string{"my-affinity": value()} }, func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelTopologyZone, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
			}},
		}}
	})
	add(n/5, func() map[string]string { return map[string]string{"app": "nginx"} }, antiAffinity(corev1.LabelHostname))
	add(n-len(all), label, func(*corev1.Pod) {})
	return all
}

// deployments makes n pods in so many Deployments of random sizes: 0.1 to 4 CPUs (most of
// them small), 0.5 to 8 GiB a CPU.
func deployments(n, shapes int, change ...func(*corev1.Pod)) []*corev1.Pod {
	r := rand.New(rand.NewPCG(7, uint64(shapes)))
	var all []*corev1.Pod
	for i := range shapes {
		cpu := 100 * (1 + int(39*r.Float64()*r.Float64()*r.Float64()))
		memory := int(float64(cpu) * (0.5 + 7.5*r.Float64()) * 1.024)
		count := n/shapes + one(i < n%shapes)
		all = append(all, pods(count, fmt.Sprintf("d%d", i), fmt.Sprintf("%dm", cpu), fmt.Sprintf("%dMi", memory), change...)...)
	}
	return all
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// market lists n made-up instance types in three zones: four families that differ in memory
// for a CPU, in sizes from 1 to n/4 CPUs.
func market(n int) []fit.Template {
	var all []fit.Template
	for i := range n {
		cpus, ratio := 1+i/4, []int{2, 4, 6, 8}[i%4]
		for _, zone := range zones {
			all = append(all, template("default", cpus, cpus*ratio, zone))
		}
	}
	return all
}

// realMarket lists up to n types of EC2 in three zones: a table of us-east-1 beside the
// checkout, where there is one, else those built into the command line tool.
func realMarket(tb testing.TB, n int) []fit.Template {
	tb.Helper()
	var types catalog.Catalog
	file, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "ec2-us-east-1.csv"))
	if err == nil {
		defer file.Close()
		types, err = catalog.ReadCSV(file.Name(), file)
	} else {
		tb.Logf("%v; the built-in types are used", err)
		types, err = catalog.Builtin()
	}
	if err != nil {
		tb.Fatal(err)
	}
	list, err := types.Types(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	pool.Spec.Template.Spec.Requirements = []v1alpha1.Requirement{
		{Key: corev1.LabelArchStable, Operator: v1alpha1.OpExists},
		{Key: v1alpha1.LabelInstanceGPUCount, Operator: v1alpha1.OpDoesNotExist},
	}
	offers, err := offering.Of(pool, list)
	if err != nil {
		tb.Fatal(err)
	}
	var all []fit.Template
	for i := range offers.Available[:min(len(offers.Available), 3*n)] {
		o := &offers.Available[i]
		all = append(all, fit.Template{Node: o.Node, Price: o.Price, Pool: pool.Name})
	}
	tb.Logf("%d offerings of %d types", len(all), len(all)/3)
	return all
}

// full lists n existing nodes with 30 pods each and no room.
func full(n int) []*framework.NodeInfo {
	var all []*framework.NodeInfo
	for i := range n {
		all = append(all, existing(fmt.Sprintf("n%d", i), zones[i%3], pods(30, fmt.Sprintf("on%d", i), "260m", "1Gi")...))
	}
	return all
}

// benchPlan measures one planning, and reports its parts in milliseconds and its plan.
func benchPlan(b *testing.B, in fit.Input) {
	engine := newEngine(b)
	b.ReportAllocs()
	var took fit.Took
	var plan *fit.Plan
	for b.Loop() {
		var err error
		if plan, err = engine.Plan(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		took.Fit, took.Pack, took.Verify = took.Fit+plan.Took.Fit, took.Pack+plan.Took.Pack, took.Verify+plan.Took.Verify
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(b.N) }
	b.ReportMetric(ms(took.Fit), "fit-ms/op")
	b.ReportMetric(ms(took.Pack), "pack-ms/op")
	b.ReportMetric(ms(took.Verify), "verify-ms/op")
	b.ReportMetric(float64(len(plan.Nodes)), "nodes")
	b.ReportMetric(float64(plan.Refused), "refused")
	b.ReportMetric(float64(len(plan.Unplaced)), "unplaced")
	if plan.LowerBound > 0 {
		b.ReportMetric(plan.Price/plan.LowerBound, "price/bound")
	}
}

// BenchmarkDiverse is the mix of Karpenter's benchmark on 400 types: the first plan, without
// a search for a cheaper one.
func BenchmarkDiverse(b *testing.B) {
	templates := market(400)
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		waiting := diverse(n)
		b.Run(fmt.Sprintf("pods=%d", n), func(b *testing.B) {
			benchPlan(b, fit.Input{Pods: waiting, Templates: templates, Alternatives: 60})
		})
	}
}

// BenchmarkPrice is how near to the lower bound a plan comes on real types, with the
// default time to improve it.
func BenchmarkPrice(b *testing.B) {
	templates := realMarket(b, 800)
	for _, size := range []struct{ pods, deployments int }{{200, 20}, {1000, 40}, {20_000, 300}} {
		waiting := deployments(size.pods, size.deployments)
		b.Run(fmt.Sprintf("pods=%d/deployments=%d", size.pods, size.deployments), func(b *testing.B) {
			benchPlan(b, fit.Input{Pods: waiting, Templates: templates, Alternatives: 60, Improve: 200 * time.Millisecond})
		})
	}
}

// BenchmarkPreferred packs 4,000 pods that would rather not share a host: a preference
// must not cost a node.
func BenchmarkPreferred(b *testing.B) {
	templates := realMarket(b, 800)
	prefer := func(p *corev1.Pod) {
		antiAffinity(corev1.LabelHostname)(p)
		term := p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
		p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 100, PodAffinityTerm: term}},
		}
	}
	for name, waiting := range map[string][]*corev1.Pod{"preferred": deployments(4000, 40, prefer), "without": deployments(4000, 40)} {
		b.Run(name, func(b *testing.B) {
			benchPlan(b, fit.Input{Pods: waiting, Templates: templates, Alternatives: 60, Improve: 200 * time.Millisecond})
		})
	}
}

// BenchmarkGrowth changes one size at a time from 2,000 pods in 50 Deployments, 400 types
// and no nodes; half of the Deployments spread over zones.
func BenchmarkGrowth(b *testing.B) {
	type sizes struct{ pods, shapes, types, nodes int }
	run := func(name string, s sizes) {
		half := deployments(s.pods/2, s.shapes/2)
		in := fit.Input{
			Pods:      append(half, deployments(s.pods/2, s.shapes/2, func(p *corev1.Pod) { p.Labels["half"] = "b" }, spread(corev1.LabelTopologyZone))...),
			Nodes:     full(s.nodes),
			Templates: market(s.types), Alternatives: 60,
		}
		b.Run(name, func(b *testing.B) { benchPlan(b, in) })
	}
	base := sizes{2000, 50, 400, 0}
	for _, n := range []int{200, 2000, 20_000, 100_000} {
		s := base
		s.pods = n
		run(fmt.Sprintf("pods=%d", n), s)
	}
	for _, n := range []int{10, 100, 1000} {
		s := base
		s.shapes = n
		run(fmt.Sprintf("shapes=%d", n), s)
	}
	for _, n := range []int{100, 200, 800} {
		s := base
		s.types = n
		run(fmt.Sprintf("types=%d", n), s)
	}
	for _, n := range []int{100, 1000, 5000} {
		s := base
		s.nodes = n
		run(fmt.Sprintf("nodes=%d", n), s)
	}
}
