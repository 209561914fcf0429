package offering

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func memory(s string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(s)}
}

func TestLearn(t *testing.T) {
	type node struct {
		image, predicted, real string
		news                   bool
	}
	for _, tt := range []struct {
		name  string
		nodes []node
		want  string // predicted from then on; the source says 7Gi
	}{
		{"as predicted", []node{{"ami-1", "7Gi", "7Gi", false}}, "7Gi"},
		{"larger than predicted", []node{{"ami-1", "7Gi", "8Gi", false}}, "7Gi"},
		{"short", []node{{"ami-1", "7Gi", "6Gi", true}}, "6Gi"},
		{"known already", []node{{"ami-1", "7Gi", "6Gi", true}, {"ami-1", "7Gi", "6Gi", false}}, "6Gi"},
		{"two bought on one prediction, the second shorter", []node{
			{"ami-1", "7Gi", "6Gi", true}, {"ami-1", "7Gi", "5Gi", true}}, "5Gi"},
		{"short of a corrected prediction", []node{
			{"ami-1", "7Gi", "6Gi", true}, {"ami-1", "6Gi", "5632Mi", true}}, "5632Mi"},
		{"the largest of all images counts", []node{
			{"ami-1", "7Gi", "5Gi", true}, {"ami-2", "7Gi", "6Gi", true}}, "5Gi"},
		{"never below zero", []node{{"ami-1", "9Gi", "1Gi", true}}, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCatalog(t, &fakeSource{types: someTypes(0.1)})
			mustTypes(t, c, nil)
			for i, n := range tt.nodes {
				if got := c.Learn("m5.large", n.image, memory(n.predicted), memory(n.real)); got != n.news {
					t.Errorf("node %d: news = %v, want %v", i, got, n.news)
				}
			}
			types := mustTypes(t, c, nil)
			if got := types[0].Allocatable[corev1.ResourceMemory]; got.Cmp(resource.MustParse(tt.want)) != 0 {
				t.Errorf("m5.large is predicted to have %s, want %s", got.String(), tt.want)
			}
			if got := types[1].Allocatable[corev1.ResourceMemory]; got.Cmp(resource.MustParse("3Gi")) != 0 {
				t.Errorf("c5.large is predicted to have %s, want 3Gi untouched", got.String())
			}
		})
	}
}

func TestLearnForgetsOldImages(t *testing.T) {
	c := newCatalog(t, &fakeSource{types: someTypes(0.1)})
	mustTypes(t, c, nil)
	c.Learn("m5.large", "old", memory("7Gi"), memory("4Gi"))
	for i := range imagesRemembered {
		c.Learn("m5.large", fmt.Sprint("new", i), memory("7Gi"), memory("6Gi"))
	}
	if got := mustTypes(t, c, nil)[0].Allocatable[corev1.ResourceMemory]; got.Cmp(resource.MustParse("6Gi")) != 0 {
		t.Errorf("predicted %s, want 6Gi: the old image's shortfall is out of date", got.String())
	}
	if n := len(c.shortfalls["m5.large"]); n != imagesRemembered {
		t.Errorf("%d images remembered, want %d", n, imagesRemembered)
	}
}
