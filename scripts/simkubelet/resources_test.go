package simkubelet

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

func TestResources(t *testing.T) {
	types, err := simec2.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]simec2.InstanceType{}
	for _, it := range types {
		byName[it.Name] = it
	}
	for _, tc := range []struct {
		name     string
		typ      string
		memory   int64 // MiB found by the operating system
		config   kubeletConfig
		strategy string
		want     map[corev1.ResourceName]string // allocatable
	}{
		{
			name: "t3.medium", typ: "t3.medium", memory: 3800,
			// 3×5+2 pods; 11×17+255 MiB and 60+10 m reserved; 100 MiB and 10 % kept from eviction.
			want: map[corev1.ResourceName]string{"cpu": "1930m", "memory": "3258Mi", "pods": "17", "ephemeral-storage": "18181869946"},
		},
		{
			name: "m5.large", typ: "m5.large", memory: 7600,
			want: map[corev1.ResourceName]string{"cpu": "1930m", "memory": "6926Mi", "pods": "29", "ephemeral-storage": "18181869946"},
		},
		{
			name: "m5.4xlarge", typ: "m5.4xlarge", memory: 62000,
			// 60+10+5+5 m, then 12 cores at 2.5 m.
			want: map[corev1.ResourceName]string{"cpu": "15890m", "memory": "59071Mi", "pods": "234", "ephemeral-storage": "18181869946"},
		},
		{
			name: "maxPods does not change what is reserved", typ: "m5.large", memory: 7600, config: kubeletConfig{MaxPods: 110},
			want: map[corev1.ResourceName]string{"cpu": "1930m", "memory": "6926Mi", "pods": "110", "ephemeral-storage": "18181869946"},
		},
		{
			name: "settings of the user", typ: "m5.large", memory: 7600,
			config: kubeletConfig{
				PodsPerCore: 4, KubeReserved: map[string]string{"memory": "1Gi"}, SystemReserved: map[string]string{"cpu": "100m"},
				EvictionHard: map[string]string{"memory.available": "5%"},
			},
			// 380 MiB are a twentieth; in single precision a little more.
			want: map[corev1.ResourceName]string{"cpu": "1830m", "memory": "6496976891", "pods": "8", "ephemeral-storage": "18181869946"},
		},
		{
			name: "thresholds switched off", typ: "m5.large", memory: 7600,
			config: kubeletConfig{
				EvictionHard: map[string]string{"memory.available": "0%", "nodefs.available": "100%"},
				EvictionSoft: map[string]string{"memory.available": "1Gi"}, EvictionSoftGracePeriod: map[string]string{"memory.available": "1m"},
			},
			want: map[corev1.ResourceName]string{"cpu": "1930m", "memory": "7026Mi", "pods": "29", "ephemeral-storage": "19845100Ki"},
		},
		{
			name: "local disks as one array", typ: "m5d.large", memory: 7600, strategy: "RAID0",
			want: map[corev1.ResourceName]string{"cpu": "1930m", "memory": "6926Mi", "pods": "29", "ephemeral-storage": "65751258066"},
		},
		{
			name: "GPUs", typ: "g5.xlarge", memory: 15000,
			want: map[corev1.ResourceName]string{
				"cpu": "3920m", "memory": "14007Mi", "pods": "58", "ephemeral-storage": "18181869946", "nvidia.com/gpu": "1",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var storage instanceOptions
			storage.LocalStorage.Strategy = tc.strategy
			i := simec2.Instance{Type: byName[tc.typ], MemoryMiB: tc.memory, VolumeGiB: 20}
			_, allocatable, err := resources(i, kubeletOptions{Config: tc.config}, storage)
			if err != nil {
				t.Fatal(err)
			}
			got := map[corev1.ResourceName]string{}
			for k, v := range allocatable {
				if !v.IsZero() {
					got[k] = v.String()
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("allocatable (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResourcesRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config kubeletConfig
	}{
		{"an unknown resource", kubeletConfig{KubeReserved: map[string]string{"gpu": "1"}}},
		{"a malformed amount", kubeletConfig{SystemReserved: map[string]string{"memory": "much"}}},
		{"an unknown signal", kubeletConfig{EvictionHard: map[string]string{"disk": "1Gi"}}},
		{"a malformed threshold", kubeletConfig{EvictionHard: map[string]string{"memory.available": "x%"}}},
		{"a threshold above everything", kubeletConfig{EvictionHard: map[string]string{"memory.available": "101%"}}},
		{"a threshold of nothing", kubeletConfig{EvictionHard: map[string]string{"memory.available": "0"}}},
		{"a negative amount", kubeletConfig{SystemReserved: map[string]string{"memory": "-1Gi"}}},
		{"more reserved than there is", kubeletConfig{KubeReserved: map[string]string{"memory": "8Gi"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			machine := simec2.Instance{Type: simec2.InstanceType{VCPU: 2, ENIs: 3, IPv4PerENI: 10}, MemoryMiB: 7600, VolumeGiB: 20}
			if _, _, err := resources(machine, kubeletOptions{Config: tc.config}, instanceOptions{}); !errors.Is(err, errUserData) {
				t.Errorf("got %v, want an error of user data", err)
			}
		})
	}
}
