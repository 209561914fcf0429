package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/scripts/stack"
)

const (
	maxPods     = 150
	maxReplicas = 20
	// pauses between two things that are done, and between two that are killed.
	minPause, maxPause = 100 * time.Millisecond, 900 * time.Millisecond
	minKill, maxKill   = 6 * time.Second, 15 * time.Second
)

// act is something that happens, so often.
type act struct {
	name   string
	weight int
	do     func(context.Context) error
}

func (s *soak) acts() []act {
	return []act{
		{"create", 30, s.create},
		{"scale", 30, s.scale},
		{"delete", 12, s.delete},
		{"EC2 fault", 6, s.fault},
		{"instance terminated", 4, s.terminate},
		{"node will not register", 3, s.loseNode},
		{"claim deleted", 2, s.deleteClaim},
		{"node deleted", 2, s.deleteNode},
	}
}

// noise does things until the time is over.
func (s *soak) noise(ctx context.Context) error {
	acts := s.acts()
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	end, lastKill := s.began.Add(s.cfg.Duration), s.began.Add(time.Duration(float64(s.cfg.Duration)*killUntil))
	s.meter.watch(lastKill.Add(s.cfg.Duration/8), end)
	nextKill, nextWord := s.began.Add(minKill), time.Now()
	for now := time.Now(); now.Before(end); now = time.Now() {
		if now.After(nextKill) && now.Before(lastKill) {
			nextKill = now.Add(s.between(minKill, maxKill))
			s.report.count("kill")
			s.say("killed %s", s.daemons.kill(s.rnd))
		}
		s.daemons.keepUp(ctx)
		if err := s.endFault(now); err != nil {
			return err
		}
		if now.After(nextWord) {
			nextWord = now.Add(progressEvery)
			s.progress(ctx, fmt.Sprintf("faults in force: %d", len(s.Sim.Faults())))
		}
		n := s.rnd.IntN(sum)
		i := slices.IndexFunc(acts, func(a act) bool { n -= a.weight; return n < 0 })
		if err := s.do(ctx, acts[i]); err != nil {
			return err
		}
		if !sleep(ctx, s.between(minPause, maxPause)) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// do has something happen. What the API server refuses, as what is gone by now, is noise too.
func (s *soak) do(ctx context.Context, a act) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := a.do(ctx)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("%s: %w", a.name, err)
	}
	s.report.count(a.name)
	return nil
}

func (s *soak) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rnd.Int64N(int64(most-least)))
}

func (s *soak) pick(from ...string) string { return from[s.rnd.IntN(len(from))] }

func (s *soak) total() (n int32) {
	for _, replicas := range s.wanted {
		n += replicas
	}
	return n
}

// replicas is a number that stays within the bound on all.
func (s *soak) replicas(instead int32) int32 {
	return min(1+s.rnd.Int32N(maxReplicas), max(maxPods-s.total()+instead, 1))
}

// one returns the name of one of the Deployments; "" if there are none.
func (s *soak) one() string {
	names := slices.Sorted(maps.Keys(s.wanted))
	if len(names) == 0 {
		return ""
	}
	return s.pick(names...)
}

func (s *soak) create(ctx context.Context) error {
	if s.total() >= maxPods {
		return nil
	}
	s.seq++
	name := fmt.Sprintf("app-%d", s.seq)
	d := stack.Deployment(name, s.replicas(0), s.pick("100m", "250m", "500m", "1", "2"), s.pick("128Mi", "512Mi", "2Gi"), s.constrain(name))
	s.wanted[name] = *d.Spec.Replicas
	return s.Client.Create(ctx, d)
}

// constrain makes some of the Deployments harder to place.
func (s *soak) constrain(name string) func(*corev1.PodSpec) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	kind := s.rnd.IntN(8)
	zone := s.pick("us-east-1a", "us-east-1b", "us-east-1c")
	return func(spec *corev1.PodSpec) {
		switch kind {
		case 0:
			spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector,
			}}
		case 1:
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: selector},
			}}}
		case 2:
			spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: zone}
		}
	}
}

func (s *soak) scale(ctx context.Context) error {
	name := s.one()
	if name == "" {
		return nil
	}
	replicas := s.replicas(s.wanted[name])
	if s.rnd.IntN(6) == 0 {
		replicas = 0
	}
	s.wanted[name] = replicas
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))
	return s.Client.Patch(ctx, deployment(name), patch)
}

func (s *soak) delete(ctx context.Context) error {
	name := s.one()
	if name == "" {
		return nil
	}
	delete(s.wanted, name)
	return s.Client.Delete(ctx, deployment(name), client.PropagationPolicy(metav1.DeletePropagationBackground))
}

func (s *soak) deleteAll(ctx context.Context) error {
	for name := range s.wanted {
		if err := s.Client.Delete(ctx, deployment(name), client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	clear(s.wanted)
	return nil
}

func deployment(name string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: stack.Namespace, Name: name}}
}
