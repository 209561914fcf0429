package fit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/fit"
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
	selecting := func(key string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			own := p.Labels
			p.Labels = label()
			spread(key)(p)
			p.Labels = own
		}
	}
	none := func(*corev1.Pod) {}
	add(n/5, label, selecting(corev1.LabelTopologyZone))
	add(n/5, label, selecting(corev1.LabelHostname))
	add(n/5, func() map[string]string { return map[string]string{"my-affinity": value()} }, func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelTopologyZone, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
			}},
		}}
	})
	add(n/5, func() map[string]string { return map[string]string{"app": "nginx"} }, antiAffinity(corev1.LabelHostname))
	add(n-len(all), label, none)
	return all
}

// market lists n instance types in three zones: four families that differ in memory for a
// CPU, in sizes from 1 to n/4 CPUs.
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

func BenchmarkDiverse(b *testing.B) {
	engine := newEngine(b)
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		waiting, templates := diverse(n), market(400)
		b.Run(fmt.Sprintf("pods=%d/types=400", n), func(b *testing.B) {
			b.ReportAllocs()
			var took fit.Took
			var plan *fit.Plan
			for b.Loop() {
				var err error
				if plan, err = engine.Plan(b.Context(), fit.Input{Pods: waiting, Templates: templates, Alternatives: 60}); err != nil {
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
			b.ReportMetric(plan.Price/plan.LowerBound, "price/bound")
		})
	}
}
