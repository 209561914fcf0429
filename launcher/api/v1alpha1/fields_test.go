package v1alpha1_test

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func TestChangedField(t *testing.T) {
	class := func(change ...func(*v1alpha1.EC2NodeClassSpec)) *v1alpha1.EC2NodeClass {
		c := &v1alpha1.EC2NodeClass{}
		c.Spec = v1alpha1.EC2NodeClassSpec{
			InstanceProfile: "nodes", Tags: map[string]string{"team": "a", "cost": "b"},
			BlockDeviceMappings: []v1alpha1.BlockDeviceMapping{{DeviceName: "/dev/xvda", EBS: &v1alpha1.BlockDevice{VolumeSize: new(resource.MustParse("20Gi"))}}},
		}
		for _, f := range change {
			f(&c.Spec)
		}
		return c
	}
	for _, tt := range []struct {
		name   string
		change func(*v1alpha1.EC2NodeClassSpec)
		want   string
	}{
		{"nothing", func(*v1alpha1.EC2NodeClassSpec) {}, ""},
		{"a string", func(s *v1alpha1.EC2NodeClassSpec) { s.InstanceProfile = "others" }, "instanceProfile"},
		{"a map", func(s *v1alpha1.EC2NodeClassSpec) { s.Tags = map[string]string{"team": "a"} }, "tags"},
		{"within a list", func(s *v1alpha1.EC2NodeClassSpec) {
			s.BlockDeviceMappings[0].EBS.VolumeSize = new(resource.MustParse("30Gi"))
		}, "blockDeviceMappings"},
		{"the same in other words", func(s *v1alpha1.EC2NodeClassSpec) {
			s.BlockDeviceMappings[0].EBS.VolumeSize = new(resource.MustParse("20480Mi"))
		}, ""},
		{"newly set", func(s *v1alpha1.EC2NodeClassSpec) { s.UserData = new("echo") }, "userData"},
		{"no longer set", func(s *v1alpha1.EC2NodeClassSpec) { s.BlockDeviceMappings = nil }, "blockDeviceMappings"},
		{"set to nothing", func(s *v1alpha1.EC2NodeClassSpec) { s.Kubelet = &v1alpha1.KubeletConfiguration{} }, ""},
		{"two fields", func(s *v1alpha1.EC2NodeClassSpec) { s.UserData, s.InstanceProfile = new("echo"), "others" }, "instanceProfile"},
		{"how images are selected", func(s *v1alpha1.EC2NodeClassSpec) {
			s.AMISelectorTerms = []v1alpha1.AMISelectorTerm{{ID: "ami-1"}}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := class(tt.change).ChangedField(class().FieldHashes()); got != tt.want {
				t.Errorf("changed %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("bought by an earlier version", func(t *testing.T) {
		for _, before := range []map[string]string{nil, {"version": "0", "tags": "x"}} {
			if got := class().ChangedField(before); got != "" {
				t.Errorf("changed %q although nothing is known", got)
			}
		}
	})
}

// TestEveryFieldIsHashed: a field that is added to the spec is either hashed or selects something.
func TestEveryFieldIsHashed(t *testing.T) {
	for field := range reflect.TypeFor[v1alpha1.EC2NodeClassSpec]().Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !strings.HasSuffix(name, "SelectorTerms") && options != "omitempty" {
			t.Errorf("field %s is not left out when it is empty: nodes would drift when the launcher is updated", name)
		}
	}
}
