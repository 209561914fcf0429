package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestUnregistered(t *testing.T) {
	for _, tt := range []struct {
		name string
		meta metav1.ObjectMeta
		want bool
	}{
		{"somebody else's node", metav1.ObjectMeta{}, false},
		{"a node of ours that has just joined", metav1.ObjectMeta{Labels: map[string]string{labelNodePool: "p"}}, true},
		{"tied to its claim", metav1.ObjectMeta{
			Labels:          map[string]string{labelNodePool: "p"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "slipway.dev/v1alpha1", Kind: "NodeClaim", Name: "c"}},
		}, false},
	} {
		if got := unregistered(&v1.Node{ObjectMeta: tt.meta}); got != tt.want {
			t.Errorf("%s: unregistered = %v", tt.name, got)
		}
	}
}
