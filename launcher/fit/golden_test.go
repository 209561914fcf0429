package fit_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestGolden plans the situations in testdata. A situation is one thing a line:
//
//	types POOL SIZE... [zones=a,b] [taint=KEY] [tier=N] [label=KEY:VALUE] [gpu=N]
//	node NAME zone=Z [open] [disks=N] [label=KEY:VALUE]
//	daemonset NAME CPU [port=N]
//	pods NAME COUNT CPU MEMORY [on=NODE] [...]   what else pods may ask for is in asks
//	limit N
//
// Sizes are CPUs and GiB. The answer has a line for each node, then those that stay
// without one. Then the scheduler has to agree.
func TestGolden(t *testing.T) {
	w := newWorlds(t)
	datadriven.Walk(t, "testdata/plans", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			g := generate(0)
			s := &scenario{Classes: g.Classes, Drivers: g.Drivers, Namespaces: g.Namespaces}
			limit := -1
			for line := range strings.Lines(d.Input) {
				fields := strings.Fields(line)
				opt := arguments(fields)
				switch fields[0] {
				case "types":
					s.addTypes(fields[1], fields[2:], opt)
				case "node":
					s.addNode(fields[1], opt)
				case "daemonset":
					ds := daemonSet(fields[2])
					ds.Name, ds.UID = fields[1], types.UID(fields[1])
					if p, ok := opt["port"]; ok {
						onPort(int32(number(p)))(&corev1.Pod{Spec: ds.Spec.Template.Spec})
					}
					s.DaemonSets = append(s.DaemonSets, ds)
				case "pods":
					s.addAll(fields[1], number(fields[2]), fields[3], fields[4], fields[5:])
				case "limit":
					limit = number(fields[1])
				default:
					d.Fatalf(t, "what is a %s?", fields[0])
				}
			}
			world := w.of(s)
			world.know(s)
			in := s.input()
			if limit >= 0 {
				in.Budget = &atMost{left: limit}
			} else if v := w.try(s); len(v.wrong)+len(v.missed) > 0 {
				t.Errorf("%s: wrong: %v, missed: %v", d.Pos, v.wrong, v.missed)
			}
			world.know(s)
			return run(t, world.engine, in)
		})
	})
}

func arguments(fields []string) map[string]string {
	opt := map[string]string{}
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		opt[key] = value
	}
	return opt
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func (s *scenario) addTypes(pool string, sizes []string, opt map[string]string) {
	in := zones
	if z, ok := opt["zones"]; ok {
		in = strings.Split(z, ",")
	}
	for _, size := range sizes {
		var cpus, gib int
		if n, _ := fmt.Sscanf(size, "%dx%d", &cpus, &gib); n != 2 {
			continue
		}
		for _, zone := range in {
			t := template(pool, cpus, gib, zone)
			if key, ok := opt["taint"]; ok {
				t.Node.Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
			}
			if l, ok := opt["label"]; ok {
				key, value, _ := strings.Cut(l, ":")
				t.Node.Labels[key] = value
			}
			if n, ok := opt["gpu"]; ok {
				t.Node.Status.Allocatable[gpu] = resource.MustParse(n)
			}
			if n, ok := opt["hugepages"]; ok {
				t.Node.Status.Allocatable[huge] = resource.MustParse(n)
			}
			if n, ok := opt["tier"]; ok {
				t.Tier = int32(number(n))
			}
			s.Templates = append(s.Templates, t)
		}
	}
}

func (s *scenario) addNode(name string, opt map[string]string) {
	node := existing(name, opt["zone"]).Node()
	if l, ok := opt["label"]; ok {
		key, value, _ := strings.Cut(l, ":")
		node.Labels[key] = value
	}
	s.Nodes = append(s.Nodes, node)
	if _, open := opt["open"]; open {
		s.Open = append(s.Open, name)
	}
	if n, ok := opt["disks"]; ok {
		csi := csiNode(node)
		*csi.Spec.Drivers[0].Allocatable.Count = int32(number(n))
		s.CSINodes = append(s.CSINodes, csi)
	}
}

func (s *scenario) addAll(app string, n int, cpu, memory string, wishes []string) {
	for _, p := range pods(n, app, cpu, memory) {
		for _, w := range wishes {
			key, value, _ := strings.Cut(w, "=")
			asks[key](s, p, value)
		}
		if p.Spec.NodeName != "" {
			p.Name += "-on-" + p.Spec.NodeName
			p.UID = types.UID(p.Name)
			s.Bound = append(s.Bound, p)
		} else {
			s.Pods = append(s.Pods, p)
		}
	}
}

func topologyKey(short string) string {
	if key, ok := map[string]string{"zone": corev1.LabelTopologyZone, "host": corev1.LabelHostname, "arch": corev1.LabelArchStable}[short]; ok {
		return key
	}
	return short
}

// asks are what pods may ask for.
var asks = map[string]func(s *scenario, p *corev1.Pod, value string){
	"on":     func(_ *scenario, p *corev1.Pod, v string) { p.Spec.NodeName = v },
	"spread": func(_ *scenario, p *corev1.Pod, v string) { spread(topologyKey(v))(p) },
	"wish-spread": func(_ *scenario, p *corev1.Pod, v string) {
		spread(topologyKey(v))(p)
		p.Spec.TopologySpreadConstraints[0].WhenUnsatisfiable = corev1.ScheduleAnyway
	},
	"apart": func(_ *scenario, p *corev1.Pod, v string) { antiAffinity(topologyKey(v))(p) },
	"apart-from": func(_ *scenario, p *corev1.Pod, v string) {
		app, key, _ := strings.Cut(v, "@")
		terms := []corev1.PodAffinityTerm{{TopologyKey: topologyKey(key), LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
		affinity(p).PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}
	},
	"select": func(_ *scenario, p *corev1.Pod, v string) {
		k, v, _ := strings.Cut(v, ":")
		selecting(topologyKey(k), v)(p)
	},
	"port": func(_ *scenario, p *corev1.Pod, v string) { onPort(int32(number(v)))(p) },
	"tolerate": func(_ *scenario, p *corev1.Pod, v string) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: v, Operator: corev1.TolerationOpExists}}
	},
	"near": func(_ *scenario, p *corev1.Pod, v string) {
		app, key, _ := strings.Cut(v, "@")
		nextTo(app, topologyKey(key))(p)
	},
	"minDomains": func(_ *scenario, p *corev1.Pod, v string) {
		p.Spec.TopologySpreadConstraints[0].MinDomains = new(int32(number(v)))
	},
	"newer": func(_ *scenario, p *corev1.Pod, v string) {
		affinity(p).NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: gen, Operator: corev1.NodeSelectorOpGt, Values: []string{v}}},
		}}}}
	},
	"named": func(_ *scenario, p *corev1.Pod, v string) {
		affinity(p).NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{v}}},
		}}}}
	},
	"priority":  func(_ *scenario, p *corev1.Pod, v string) { p.Spec.Priority = new(int32(number(v))) },
	"gpu":       func(_ *scenario, p *corev1.Pod, v string) { request(p, gpu, v) },
	"hugepages": func(_ *scenario, p *corev1.Pod, v string) { request(p, huge, v) },
	"storage":   func(_ *scenario, p *corev1.Pod, v string) { request(p, corev1.ResourceEphemeralStorage, v) },
	"init": func(_ *scenario, p *corev1.Pod, v string) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, initContainer(v, false))
	},
	"sidecar": func(_ *scenario, p *corev1.Pod, v string) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, initContainer(v, true))
	},
	"overhead": func(_ *scenario, p *corev1.Pod, v string) {
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(v)}
	},
	"disk": func(s *scenario, p *corev1.Pod, class string) {
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), scenario: s}
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("data", g.newClaim(p.Namespace, "data-"+p.Name, class).Name))
	},
	"disk-of": func(s *scenario, p *corev1.Pod, node string) {
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), scenario: s}
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("data", g.localClaim(p, node)))
	},
	"disk-in": func(s *scenario, p *corev1.Pod, zone string) {
		g := &generator{Rand: rand.New(rand.NewPCG(0, 0)), scenario: s}
		c := g.newClaim(p.Namespace, "data-"+p.Name, "wait-few")
		g.bind(c, zone)
		p.Spec.Volumes = append(p.Spec.Volumes, claimed("data", c.Name))
	},
}

func initContainer(cpu string, sidecar bool) corev1.Container {
	c := corev1.Container{Name: "init", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}
	if sidecar {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	return c
}
