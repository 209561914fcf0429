package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestSizing(t *testing.T) {
	class := func(edit func(*v1alpha1.EC2NodeClassSpec)) *v1alpha1.EC2NodeClass {
		c := &v1alpha1.EC2NodeClass{}
		edit(&c.Spec)
		return c
	}
	reserved := func(memory v1alpha1.ReservedAmount) *v1alpha1.EC2NodeClass {
		return class(func(s *v1alpha1.EC2NodeClassSpec) {
			s.Kubelet = &v1alpha1.KubeletConfiguration{KubeReserved: map[string]v1alpha1.ReservedAmount{"cpu": "1", "memory": memory}}
		})
	}
	disk := func(size string) *v1alpha1.EC2NodeClass {
		return class(func(s *v1alpha1.EC2NodeClassSpec) {
			q := resource.MustParse(size)
			s.BlockDeviceMappings = []v1alpha1.BlockDeviceMapping{{DeviceName: "/dev/xvda", EBS: &v1alpha1.BlockDevice{VolumeSize: &q}}}
		})
	}
	for _, tt := range []struct {
		name string
		a, b *v1alpha1.EC2NodeClass
		same bool
	}{
		{"no class and the defaults", nil, &v1alpha1.EC2NodeClass{}, true},
		{"empty settings and none", nil, class(func(s *v1alpha1.EC2NodeClassSpec) { s.Kubelet = &v1alpha1.KubeletConfiguration{} }), true},
		{"what has no effect on size", nil, class(func(s *v1alpha1.EC2NodeClassSpec) { s.Tags = map[string]string{"a": "b"} }), true},
		{"the same settings", reserved("1Gi"), reserved("1Gi"), true},
		{"settings and none", reserved("1Gi"), nil, false},
		{"other settings", reserved("1Gi"), reserved("2Gi"), false},
		{"the same disk", disk("50Gi"), disk("50Gi"), true},
		{"another disk", disk("50Gi"), disk("60Gi"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := tt.a.Sizing(), tt.b.Sizing(); (a == b) != tt.same {
				t.Errorf("sizings %q and %q, want the same: %v", a, b, tt.same)
			}
		})
	}
	if got := new(v1alpha1.EC2NodeClass).Sizing(); got != "" {
		t.Errorf("sizing of the defaults is %q", got)
	}
}
