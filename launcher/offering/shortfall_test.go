package offering

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

func memory(s string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(s)}
}

func sizedClass(name string, maxPods int32) *v1alpha1.EC2NodeClass {
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: int64(maxPods)}}
	if maxPods > 0 {
		class.Spec.Kubelet = &v1alpha1.KubeletConfiguration{MaxPods: &maxPods}
	}
	return class
}

// checkMemory compares what m5.large is predicted to have for the class; c5.large, of which
// nothing is ever learnt, keeps its 3Gi.
func checkMemory(t *testing.T, c *Catalog, class *v1alpha1.EC2NodeClass, want string) {
	t.Helper()
	for i, want := range []string{want, "3Gi"} {
		typ := mustTypes(t, c, class)[i]
		if got := typ.Allocatable[corev1.ResourceMemory]; got.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s is predicted to have %s, want %s", typ.Name, got.String(), want)
		}
	}
}

func TestLearn(t *testing.T) {
	type node struct {
		image, real string
		worse       bool
	}
	for _, tt := range []struct {
		name  string
		next  string // image that the next node is started from; empty where not known
		nodes []node
		want  string // predicted from then on; the source says 7Gi
	}{
		{"as predicted", "ami-1", []node{{"ami-1", "7Gi", false}}, "7Gi"},
		{"larger than predicted", "ami-1", []node{{"ami-1", "8Gi", false}}, "7Gi"},
		{"short", "ami-1", []node{{"ami-1", "6Gi", true}}, "6Gi"},
		{"known already", "ami-1", []node{{"ami-1", "6Gi", true}, {"ami-1", "6Gi", false}}, "6Gi"},
		{"the second shorter", "ami-1", []node{{"ami-1", "6Gi", true}, {"ami-1", "5Gi", true}}, "5Gi"},
		{"the second less short", "ami-1", []node{{"ami-1", "5Gi", true}, {"ami-1", "6Gi", false}}, "5Gi"},
		{"the image's own counts", "ami-2", []node{{"ami-1", "5Gi", true}, {"ami-2", "6Gi", false}}, "6Gi"},
		{"a new image is as good as it shows", "ami-2", []node{{"ami-1", "5Gi", true}, {"ami-2", "7Gi", false}}, "7Gi"},
		{"a new image is worse", "ami-2", []node{{"ami-1", "6Gi", true}, {"ami-2", "5Gi", true}}, "5Gi"},
		{"of an image not seen yet, the most", "ami-3", []node{{"ami-1", "5Gi", true}, {"ami-2", "6Gi", false}}, "5Gi"},
		{"of an image not known, the most", "", []node{{"ami-1", "5Gi", true}, {"ami-2", "6Gi", false}}, "5Gi"},
		{"nothing at all", "ami-1", []node{{"ami-1", "0", true}}, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := someTypes(0.1)
			list[0].ImageID = tt.next
			c := newCatalog(t, &fakeSource{types: list})
			mustTypes(t, c, nil)
			for i, n := range tt.nodes {
				if got := c.Learn(nil, "m5.large", n.image, memory(n.real)); got != n.worse {
					t.Errorf("node %d: worse = %v, want %v", i, got, n.worse)
				}
			}
			checkMemory(t, c, nil, tt.want)
		})
	}
}

func TestLearnWakesWhoWaitsForRoom(t *testing.T) {
	list := someTypes(0.1)
	list[0].ImageID = "new"
	c := newCatalog(t, &fakeSource{types: list})
	mustTypes(t, c, nil)
	c.Learn(nil, "m5.large", "old", memory("4Gi"))
	changed := c.Changed()
	c.Learn(nil, "m5.large", "new", memory("6Gi"))
	select {
	case <-changed:
	default:
		t.Error("a node with more room than was predicted woke nobody")
	}
}

// TestLearnKeepsSizingsApart: what is short under some settings of the kubelet says
// nothing about others; classes with the same settings share it.
func TestLearnKeepsSizingsApart(t *testing.T) {
	c := newCatalog(t, &fakeSource{types: someTypes(0.1)})
	plain, few, alsoFew, many := sizedClass("plain", 0), sizedClass("few", 5), sizedClass("also-few", 5), sizedClass("many", 110)
	for _, class := range []*v1alpha1.EC2NodeClass{nil, plain, few, alsoFew, many} {
		mustTypes(t, c, class)
	}
	if !c.Learn(few, "m5.large", "ami-1", memory("6Gi")) {
		t.Error("nothing learnt")
	}
	if !c.Learn(plain, "m5.large", "ami-1", memory("5Gi")) {
		t.Error("nothing learnt")
	}
	checkMemory(t, c, few, "6Gi")
	checkMemory(t, c, alsoFew, "6Gi")
	checkMemory(t, c, many, "7Gi")
	checkMemory(t, c, plain, "5Gi")
	checkMemory(t, c, nil, "5Gi")

	if c.Learn(sizedClass("few", 6), "m5.large", "ami-1", memory("1Gi")) {
		t.Error("learnt of a sizing whose prediction is not known yet")
	}
	if c.Learn(sizedClass("other", 5), "m5.large", "ami-1", memory("1Gi")) {
		t.Error("learnt of a class that was never asked for")
	}
	checkMemory(t, c, few, "6Gi")
	few = sizedClass("few", 110) // edited
	checkMemory(t, c, few, "7Gi")
}

func TestLearnMissesNothingThatIsNotReported(t *testing.T) {
	list := someTypes(0.1)
	list[0].Allocatable["nvidia.com/gpu"] = resource.MustParse("1")
	c := newCatalog(t, &fakeSource{types: list})
	mustTypes(t, c, nil)
	if c.Learn(nil, "m5.large", "ami-1", memory("7Gi")) {
		t.Error("held to be short of what the node has not reported")
	}
	if got := mustTypes(t, c, nil)[0].Allocatable["nvidia.com/gpu"]; got.Value() != 1 {
		t.Errorf("%s GPUs predicted", got.String())
	}
}

func TestLearnForgetsOldImages(t *testing.T) {
	c := newCatalog(t, &fakeSource{types: someTypes(0.1)})
	mustTypes(t, c, nil)
	c.Learn(nil, "m5.large", "old", memory("4Gi"))
	for i := range imagesRemembered {
		c.Learn(nil, "m5.large", fmt.Sprint("new", i), memory("6Gi"))
	}
	checkMemory(t, c, nil, "6Gi")
	if n := len(c.shortfalls[sized{"m5.large", ""}]); n != imagesRemembered {
		t.Errorf("%d images remembered, want %d", n, imagesRemembered)
	}
}
