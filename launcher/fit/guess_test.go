package fit_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// TestGuessedZone: the room of a node of which the zone is a guess is for pods that do not depend
// on the zone, and where pods there decide over a zone, who depends on them waits.
func TestGuessedZone(t *testing.T) {
	engine := newEngine(t)
	const zone, host = corev1.LabelTopologyZone, corev1.LabelHostname
	app := func(change func(*corev1.Pod)) *corev1.Pod { return pods(1, "app", "1", "1Gi", change)[0] }
	withVolume := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d"}}}}
	}
	notIn := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: zone, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"c"}},
			}}},
		}}}
	}
	keptAway := pods(1, "loner", "1", "1Gi", antiAffinity(zone))[0]
	keptAway.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels = map[string]string{"app": "app"}
	const reused, bought, waits = "reused", "bought", "waits"
	for _, tt := range []struct {
		name      string
		pod       *corev1.Pod
		there     []*corev1.Pod // on the node
		elsewhere []*corev1.Pod // on a node in zone b
		want      string
	}{
		{"it does not matter", app(func(*corev1.Pod) {}), nil, nil, reused},
		{"in a zone", app(selecting(zone, "a")), nil, nil, bought},
		{"not in a zone", app(notIn), nil, nil, bought},
		{"on another kind of node", app(selecting(corev1.LabelArchStable, "amd64")), nil, nil, reused},
		{"spread over zones", app(spread(zone)), nil, nil, bought},
		{"spread over hosts", app(spread(host)), nil, nil, reused},
		{"a volume that may be in a zone", app(withVolume), nil, nil, bought},
		{"apart in zones from none there", app(antiAffinity(zone)), nil, nil, bought},
		{"apart on hosts from one there", app(antiAffinity(host)), pods(1, "app", "1", "1Gi"), nil, bought},
		{"kept away from a zone by one elsewhere", app(func(*corev1.Pod) {}), nil, []*corev1.Pod{keptAway}, bought},
		{"apart in zones from one there", app(antiAffinity(zone)), pods(1, "app", "1", "1Gi"), nil, waits},
		{"spread over zones with one there", app(spread(zone)), pods(1, "app", "1", "1Gi"), nil, waits},
		{"in the zone of one there", app(nextTo("db", zone)), pods(1, "db", "1", "1Gi"), nil, waits},
		{"kept away from a zone by one there", app(func(*corev1.Pod) {}), []*corev1.Pod{keptAway}, nil, waits},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := engine.Plan(t.Context(), fit.Input{
				Pods: []*corev1.Pod{tt.pod}, Templates: templates(), Alternatives: 4, Open: sets.New("coming"),
				Nodes:   []*framework.NodeInfo{existing("coming", "a", tt.there...), existing("there", "b", tt.elsewhere...)},
				Guessed: map[string]func(string) bool{"coming": func(label string) bool { return label == zone }},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			switch {
			case len(plan.Reused) == 1:
				got = reused
			case len(plan.Nodes) == 1:
				got = bought
			case len(plan.Unplaced) == 1 && plan.Unplaced[0].Awaits && strings.Contains(plan.Unplaced[0].Reasons[0], "pods of node coming, of which "+zone):
				got = waits
			}
			if got != tt.want {
				t.Errorf("the pod's place is %q, want %q: %+v", got, tt.want, plan)
			}
		})
	}
}
