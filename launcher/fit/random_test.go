package fit_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// base is a pod that asks for nothing but CPU and memory.
func (g *generator) base() *corev1.Pod {
	cpu, memory := pick(g, "50m", "100m", "250m", "500m"), pick(g, "64Mi", "128Mi", "512Mi", "1Gi")
	pod := pods(1, pick(g, "web", "api", "db", "job"), cpu, memory)[0]
	pod.Labels["tier"] = pick(g, "front", "back")
	return pod
}

// pod is a pod with some of the features of the scenario.
func (g *generator) pod(name string) *corev1.Pod {
	pod := g.base()
	pod.Namespace, pod.Name, pod.UID = pick(g, "blue", "blue", "green", "red"), name, types.UID(name)
	if g.chance(0.3) {
		c := &pod.Spec.Containers[0]
		c.Resources.Requests[corev1.ResourceCPU] = resource.MustParse(pick(g, "1", "1500m", "3", "7"))
		c.Resources.Requests[corev1.ResourceMemory] = resource.MustParse(pick(g, "1Gi", "2Gi", "6Gi"))
	}
	if g.chance(0.2) {
		p := pick[int32](g, 10, 1000)
		pod.Spec.Priority = &p
	}
	for _, f := range g.on {
		if g.chance(0.6) {
			f.apply(g, pod)
		}
	}
	return pod
}

// features are all that a pod may ask for.
var features = []feature{
	{"node selector", func(g *generator, p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{}
		key := pick(g, corev1.LabelTopologyZone, corev1.LabelArchStable, "pool", "capacity", rack)
		p.Spec.NodeSelector[key] = g.value(key)
	}},
	{"node affinity", func(g *generator, p *corev1.Pod) { affinity(p).NodeAffinity = g.nodeAffinity() }},
	{"node preference", func(_ *generator, p *corev1.Pod) {
		affinity(p).NodeAffinity = &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "nowhere", Operator: corev1.NodeSelectorOpExists}}},
		}}}
	}},
	{"tolerations", func(g *generator, p *corev1.Pod) {
		p.Spec.Tolerations = pick(g,
			[]corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			[]corev1.Toleration{{Key: apart, Operator: corev1.TolerationOpExists}},
			[]corev1.Toleration{{Key: apart, Value: "ml", Effect: corev1.TaintEffectNoSchedule}, {Key: "example.com/starting", Operator: corev1.TolerationOpExists}})
	}},
	{"affinity by zone", func(g *generator, p *corev1.Pod) { g.withTerm(p, corev1.LabelTopologyZone, true) }},
	{"affinity by host", func(g *generator, p *corev1.Pod) { g.withTerm(p, corev1.LabelHostname, true) }},
	{"affinity by other keys", func(g *generator, p *corev1.Pod) { g.withTerm(p, g.otherKey(), true) }},
	{"anti-affinity by zone", func(g *generator, p *corev1.Pod) { g.withTerm(p, corev1.LabelTopologyZone, false) }},
	{"anti-affinity by host", func(g *generator, p *corev1.Pod) { g.withTerm(p, corev1.LabelHostname, false) }},
	{"anti-affinity by other keys", func(g *generator, p *corev1.Pod) { g.withTerm(p, g.otherKey(), false) }},
	{"spread by zone", func(g *generator, p *corev1.Pod) { g.withSpread(p, corev1.LabelTopologyZone) }},
	{"spread by host", func(g *generator, p *corev1.Pod) { g.withSpread(p, corev1.LabelHostname) }},
	{"spread by other keys", func(g *generator, p *corev1.Pod) { g.withSpread(p, g.otherKey()) }},
	{"shared volumes", func(g *generator, p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("shared", g.sharedClaim(p)))
	}},
	{"volumes of a node", func(g *generator, p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("disk", g.localClaim(p, fmt.Sprintf("node-%d", g.IntN(4)))))
	}},
	{"volumes of their own", func(g *generator, p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("data", pick(g, "wait", "wait-ab", "wait-few", "local", "capped")))
	}},
	{"ephemeral volumes", func(g *generator, p *corev1.Pod) {
		class := pick(g, "wait", "wait-ab", "wait-few")
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class}},
		}}})
	}},
	{"host ports", func(g *generator, p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{
			HostPort: pick[int32](g, 80, 443, 8080), ContainerPort: 80, HostIP: pick(g, "", "", "10.0.0.1"), Protocol: pick(g, corev1.ProtocolTCP, corev1.ProtocolUDP),
		}}
	}},
	{"ephemeral storage", func(g *generator, p *corev1.Pod) {
		request(p, corev1.ResourceEphemeralStorage, pick(g, "2Gi", "9Gi", "17Gi"))
	}},
	{"GPUs", func(g *generator, p *corev1.Pod) { request(p, gpu, pick(g, "1", "2", "8")) }},
	{"resources nobody has", func(g *generator, p *corev1.Pod) {
		if g.Profile != ignoring && g.chance(0.8) {
			return
		}
		request(p, corev1.ResourceName(pick(g, "example.com/widget", "ignored.example.com/thing")), "1")
	}},
	{"huge pages", func(g *generator, p *corev1.Pod) { request(p, huge, pick(g, "16Mi", "64Mi")) }},
	{"init containers", func(g *generator, p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, g.init(false))
	}},
	{"sidecars", func(g *generator, p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, g.init(true), g.init(false))
	}},
	{"overhead", func(g *generator, p *corev1.Pod) {
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(pick(g, "100m", "1")), corev1.ResourceMemory: resource.MustParse("120Mi")}
	}},
	{"requests of the pod", func(g *generator, p *corev1.Pod) {
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(pick(g, "1", "2"))}}
	}},
	{"labels of each pod", func(_ *generator, p *corev1.Pod) { p.Labels["apps.kubernetes.io/pod-index"] = p.Name }},
}

func (g *generator) otherKey() string {
	return pick(g, rack, "pool", corev1.LabelArchStable, corev1.LabelInstanceTypeStable)
}

func (g *generator) value(key string) string {
	for range 4 {
		if v, ok := pick(g, g.Templates...).Node.Labels[key]; ok {
			return v
		}
	}
	return "none"
}

func request(p *corev1.Pod, name corev1.ResourceName, amount string) {
	p.Spec.Containers[0].Resources.Requests[name] = resource.MustParse(amount)
}

func affinity(p *corev1.Pod) *corev1.Affinity {
	if p.Spec.Affinity == nil {
		p.Spec.Affinity = &corev1.Affinity{}
	}
	return p.Spec.Affinity
}

func (g *generator) nodeAffinity() *corev1.NodeAffinity {
	expression := func() corev1.NodeSelectorRequirement {
		key := pick(g, corev1.LabelTopologyZone, corev1.LabelArchStable, "pool", "capacity", rack, corev1.LabelInstanceTypeStable)
		switch g.IntN(6) {
		case 0:
			return corev1.NodeSelectorRequirement{Key: gen, Operator: corev1.NodeSelectorOpGt, Values: []string{"5"}}
		case 1:
			return corev1.NodeSelectorRequirement{Key: gen, Operator: corev1.NodeSelectorOpLt, Values: []string{"7"}}
		case 2:
			return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpNotIn, Values: []string{g.value(key)}}
		case 3:
			return corev1.NodeSelectorRequirement{Key: rack, Operator: pick(g, corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist)}
		default:
			return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{g.value(key), g.value(key)}}
		}
	}
	var terms []corev1.NodeSelectorTerm
	for range 1 + g.IntN(2) {
		term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression()}}
		if g.chance(0.3) {
			term.MatchExpressions = append(term.MatchExpressions, expression())
		}
		if g.chance(0.2) {
			term.MatchFields = []corev1.NodeSelectorRequirement{{
				Key: metav1.ObjectNameField, Operator: pick(g, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn), Values: []string{fmt.Sprintf("node-%d", g.IntN(4))},
			}}
		}
		terms = append(terms, term)
	}
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}
}

// selector selects the pod itself more often than others.
func (g *generator) selector(p *corev1.Pod) *metav1.LabelSelector {
	switch g.IntN(7) {
	case 6:
		return &metav1.LabelSelector{}
	case 0:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(g, "web", "api", "db", "job")}}
	case 1:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": pick(g, "front", "back")}}
	case 2:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: pick(g, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpIn), Values: []string{"web", "db"}}}}
	default:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.Labels["app"]}}
	}
}

// withTerm adds a term of pod affinity or anti-affinity, as the API server stores it: it
// merges the label keys into the selector.
func (g *generator) withTerm(p *corev1.Pod, key string, together bool) {
	term := corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: g.selector(p)}
	switch g.IntN(6) {
	case 0:
		term.Namespaces = some(g, 1, "blue", "green", "kube-system")
	case 1:
		term.NamespaceSelector = pick(g, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"colour": "cold"}})
	case 2:
		term.MatchLabelKeys = []string{"tier"}
		term.LabelSelector.MatchExpressions = append(term.LabelSelector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{p.Labels["tier"]}})
	case 3:
		term.MismatchLabelKeys = []string{"tier"}
		term.LabelSelector.MatchExpressions = append(term.LabelSelector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{p.Labels["tier"]}})
	}
	a := affinity(p)
	if together {
		if a.PodAffinity == nil {
			a.PodAffinity = &corev1.PodAffinity{}
		}
		a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, term)
		return
	}
	if a.PodAntiAffinity == nil {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, term)
}

func (g *generator) withSpread(p *corev1.Pod, key string) {
	c := corev1.TopologySpreadConstraint{
		TopologyKey: key, MaxSkew: 1 + int32(g.IntN(2)), WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: g.selector(p),
	}
	if g.chance(0.2) {
		n := int32(1 + g.IntN(4))
		c.MinDomains = &n
	}
	if g.chance(0.2) {
		c.MatchLabelKeys = []string{"tier", "none"}
	}
	if g.chance(0.2) {
		c.NodeAffinityPolicy = pick(g, new(corev1.NodeInclusionPolicyIgnore), new(corev1.NodeInclusionPolicyHonor))
	}
	if g.chance(0.3) {
		c.NodeTaintsPolicy = pick(g, new(corev1.NodeInclusionPolicyIgnore), new(corev1.NodeInclusionPolicyHonor))
	}
	if g.chance(0.15) {
		c.WhenUnsatisfiable = corev1.ScheduleAnyway
	}
	p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, c)
}

func (g *generator) init(sidecar bool) corev1.Container {
	c := corev1.Container{Name: fmt.Sprint("init-", g.IntN(1000)), Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(pick(g, "100m", "800m", "2")), corev1.ResourceMemory: resource.MustParse(pick(g, "64Mi", "3Gi")),
	}}}
	if sidecar {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	return c
}
