package fit_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/fit"
)

// report fails with the smallest scenario that goes wrong in the same way.
func report(t *testing.T, w worlds, s *scenario, v verdict) {
	t.Helper()
	small := shrink(s, func(s *scenario) bool {
		again := w.try(s)
		return len(again.wrong) > 0 == (len(v.wrong) > 0) && len(again.missed) > 0 == (len(v.missed) > 0)
	})
	again := w.try(small)
	raw, err := small.yaml()
	if err != nil {
		t.Fatal(err)
	}
	t.Errorf("seed %d: wrong: %q, missed: %q\nsmallest: wrong: %q, missed: %q\n%s", s.Seed, v.wrong, v.missed, again.wrong, again.missed, raw)
}

// yaml renders a scenario without what is empty.
func (s *scenario) yaml() ([]byte, error) {
	raw, err := yaml.Marshal(s)
	if err != nil {
		return nil, err
	}
	var all any
	if err := yaml.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	tidy(all)
	return yaml.Marshal(all)
}

// tidy removes what is empty and tells whether all is.
func tidy(v any) (empty bool) {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		for key, value := range v {
			if tidy(value) || key == "capacity" && v["allocatable"] != nil {
				delete(v, key)
			}
		}
		return len(v) == 0
	case []any:
		for _, value := range v {
			tidy(value)
		}
		return len(v) == 0
	default:
		return false
	}
}

// shrink takes things out of a scenario as long as it stays as bad as it was.
func shrink(s *scenario, bad func(*scenario) bool) *scenario {
	tries := 2000
	for progress := true; progress; {
		progress = false
		try := func(change func(*scenario) bool) {
			smaller := *s
			if tries--; tries > 0 && change(&smaller) && bad(&smaller) {
				s, progress = &smaller, true
			}
		}
		try(func(s *scenario) bool { had := s.Profile; s.Profile = 0; return had != 0 })
		shorten(try, func(s *scenario) *[]*corev1.Pod { return &s.Pods })
		shorten(try, func(s *scenario) *[]fit.Template { return &s.Templates })
		shorten(try, func(s *scenario) *[]*corev1.Node { return &s.Nodes })
		shorten(try, func(s *scenario) *[]*corev1.Pod { return &s.Bound })
		shorten(try, func(s *scenario) *[]string { return &s.Open })
		shorten(try, func(s *scenario) *[]*appsv1.DaemonSet { return &s.DaemonSets })
		shorten(try, func(s *scenario) *[]*corev1.PersistentVolumeClaim { return &s.Claims })
		shorten(try, func(s *scenario) *[]*corev1.PersistentVolume { return &s.Volumes })
		shorten(try, func(s *scenario) *[]*storagev1.CSINode { return &s.CSINodes })
		shorten(try, func(s *scenario) *[]*corev1.Service { return &s.Services })
		shorten(try, func(s *scenario) *[]*appsv1.ReplicaSet { return &s.ReplicaSets })
		shorten(try, func(s *scenario) *[]*storagev1.StorageClass { return &s.Classes })
		shorten(try, func(s *scenario) *[]*corev1.Namespace { return &s.Namespaces })
		shorten(try, func(s *scenario) *[]*storagev1.CSIDriver { return &s.Drivers })
		shorten(try, func(s *scenario) *[]*storagev1.CSIStorageCapacity { return &s.Capacities })
		simplify(try, s, func(s *scenario) *[]*corev1.Pod { return &s.Pods })
		simplify(try, s, func(s *scenario) *[]*corev1.Pod { return &s.Bound })
	}
	return s
}

// shorten takes elements out of a list: halves, quarters, and so on to single ones.
func shorten[T any](try func(func(*scenario) bool), list func(*scenario) *[]T) {
	size := 0
	try(func(s *scenario) bool { size = len(*list(s)); return false })
	for chunk := size; chunk > 0; chunk /= 2 {
		for at := size - chunk; at >= 0; at -= chunk {
			try(func(s *scenario) bool {
				l := list(s)
				if at+chunk > len(*l) {
					return false
				}
				*l = slices.Delete(slices.Clone(*l), at, at+chunk)
				return true
			})
		}
	}
}

// simplify takes fields out of pods.
func simplify(try func(func(*scenario) bool), s *scenario, list func(*scenario) *[]*corev1.Pod) {
	for i := range *list(s) {
		for _, clear := range simpler {
			try(func(s *scenario) bool {
				l := list(s)
				if i >= len(*l) {
					return false
				}
				pod := (*l)[i].DeepCopy()
				before := pod.DeepCopy()
				clear(pod)
				*l = slices.Clone(*l)
				(*l)[i] = pod
				return !equality.Semantic.DeepEqual(pod, before)
			})
		}
	}
}

var simpler = []func(*corev1.Pod){
	func(p *corev1.Pod) { p.Spec.Affinity = nil },
	func(p *corev1.Pod) { p.Spec.TopologySpreadConstraints = nil },
	func(p *corev1.Pod) {
		if p.Spec.Affinity != nil {
			p.Spec.Affinity.NodeAffinity = nil
		}
	},
	func(p *corev1.Pod) {
		if p.Spec.Affinity != nil {
			p.Spec.Affinity.PodAffinity = nil
		}
	},
	func(p *corev1.Pod) {
		if p.Spec.Affinity != nil {
			p.Spec.Affinity.PodAntiAffinity = nil
		}
	},
	func(p *corev1.Pod) {
		if n := len(p.Spec.TopologySpreadConstraints); n > 0 {
			p.Spec.TopologySpreadConstraints = p.Spec.TopologySpreadConstraints[:n-1]
		}
	},
	func(p *corev1.Pod) {
		for i := range p.Spec.TopologySpreadConstraints {
			c := &p.Spec.TopologySpreadConstraints[i]
			c.MinDomains, c.NodeAffinityPolicy, c.NodeTaintsPolicy, c.MatchLabelKeys = nil, nil, nil, nil
		}
	},
	func(p *corev1.Pod) { p.Spec.NodeSelector = nil },
	func(p *corev1.Pod) { p.Spec.Tolerations = nil },
	func(p *corev1.Pod) { p.Spec.Volumes = nil },
	func(p *corev1.Pod) { p.Spec.InitContainers = nil },
	func(p *corev1.Pod) { p.Spec.Overhead, p.Spec.Resources = nil, nil },
	func(p *corev1.Pod) { p.Spec.Priority = nil },
	func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil },
	func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = nil },
	func(p *corev1.Pod) { p.OwnerReferences = nil },
	func(p *corev1.Pod) { p.DeletionTimestamp = nil },
}
