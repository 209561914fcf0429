package fit_test

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	disks  = "disks.example.com" // a CSI driver whose disks a node takes a few of
	capped = "capped.example.com"
)

// addObjects adds what the cluster has besides nodes and pods.
func (g *generator) addObjects() {
	for name, colour := range map[string]string{"blue": "cold", "green": "cold", "red": "warm", "kube-system": ""} {
		g.Namespaces = append(g.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"colour": colour}}})
	}
	if g.chance(0.5) {
		g.Services = append(g.Services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "blue", Name: "web"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}},
		})
	}
	class := func(name, provisioner string, mode storagev1.VolumeBindingMode, zones ...string) {
		c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
		if len(zones) > 0 {
			c.AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelTopologyZone, Values: zones}}}}
		}
		g.Classes = append(g.Classes, c)
	}
	class("wait", "any.example.com", storagev1.VolumeBindingWaitForFirstConsumer)
	class("wait-ab", "any.example.com", storagev1.VolumeBindingWaitForFirstConsumer, "a", "b")
	class("wait-few", disks, storagev1.VolumeBindingWaitForFirstConsumer)
	class("now", disks, storagev1.VolumeBindingImmediate)
	class("capped", capped, storagev1.VolumeBindingWaitForFirstConsumer)
	class("local", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer)
	for i := range g.IntN(4) {
		pv := g.volume(fmt.Sprintf("local-%d", i), "local", pick(g, zones...))
		pv.Spec.CSI, pv.Spec.Local = nil, &corev1.LocalVolumeSource{Path: "/disk"}
	}
	g.Drivers = []*storagev1.CSIDriver{
		{ObjectMeta: metav1.ObjectMeta{Name: disks}},
		{ObjectMeta: metav1.ObjectMeta{Name: capped}, Spec: storagev1.CSIDriverSpec{StorageCapacity: new(true)}},
	}
	g.Capacities = []*storagev1.CSIStorageCapacity{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "a"}, StorageClassName: "capped", Capacity: new(resource.MustParse("100Gi")),
		NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelTopologyZone: "a"}},
	}}
}

func (g *generator) volume(name, class, zone string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: class, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: disks, VolumeHandle: name}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}},
			}}}},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable},
	}
	g.Volumes = append(g.Volumes, pv)
	return pv
}

func claimed(name, claim string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

// newClaim adds a claim that waits for its volume.
func (g *generator) newClaim(namespace, name, class string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(pick(g, "5Gi", "10Gi"))}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	g.Claims = append(g.Claims, c)
	return c
}

// sharedClaim adds a claim that all replicas of a pod share.
func (g *generator) sharedClaim(p *corev1.Pod) string {
	name := fmt.Sprintf("shared-%d", len(g.Claims))
	c := g.newClaim(p.Namespace, name, "wait-few")
	switch g.IntN(7) {
	case 0:
		c.Spec.StorageClassName = new("now") // yet to be provisioned
		return name
	case 1:
		return name // for the first of the pods to decide where
	}
	pv := g.bind(c, pick(g, zones...))
	switch g.IntN(5) {
	case 0:
		pv.Labels, pv.Spec.NodeAffinity = map[string]string{corev1.LabelTopologyZone: pick(g, zones...)}, nil
	case 1:
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		pv.Spec.AccessModes = c.Spec.AccessModes
	}
	return name
}

// localClaim adds a claim for a disk of one node.
func (g *generator) localClaim(p *corev1.Pod, node string) string {
	name := fmt.Sprintf("shared-%d", len(g.Claims))
	pv := g.bind(g.newClaim(p.Namespace, name, "local"), "")
	pv.Spec.CSI, pv.Spec.Local = nil, &corev1.LocalVolumeSource{Path: "/disk"}
	pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0] = corev1.NodeSelectorRequirement{
		Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
	}
	return name
}

// bind gives a claim a volume in a zone.
func (g *generator) bind(c *corev1.PersistentVolumeClaim, zone string) *corev1.PersistentVolume {
	pv := g.volume("pv-"+c.Name, *c.Spec.StorageClassName, zone)
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: c.Namespace, Name: c.Name, UID: c.UID}
	pv.Status.Phase = corev1.VolumeBound
	c.Spec.VolumeName, c.Status.Phase = pv.Name, corev1.ClaimBound
	c.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	return pv
}

// claim gives a replica the claims that are its alone.
func (g *generator) claim(p *corev1.Pod) {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		switch {
		case v.Ephemeral != nil:
			c := g.newClaim(p.Namespace, p.Name+"-"+v.Name, *v.Ephemeral.VolumeClaimTemplate.Spec.StorageClassName)
			c.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(p, corev1.SchemeGroupVersion.WithKind("Pod"))}
		case v.PersistentVolumeClaim != nil && !strings.HasPrefix(v.PersistentVolumeClaim.ClaimName, "shared-"):
			class := v.PersistentVolumeClaim.ClaimName
			v.PersistentVolumeClaim.ClaimName = v.Name + "-" + p.Name
			g.newClaim(p.Namespace, v.PersistentVolumeClaim.ClaimName, class)
		}
	}
}

// addCSINode says how many disks a node takes; nodes of one type take equally many.
func (g *generator) addCSINode(node *corev1.Node) {
	g.CSINodes = append(g.CSINodes, csiNode(node))
}

func csiNode(node *corev1.Node) *storagev1.CSINode {
	count := int32(2 + len(node.Labels[corev1.LabelInstanceTypeStable])%3)
	return &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node.Name}, Spec: storagev1.CSINodeSpec{
		Drivers: []storagev1.CSINodeDriver{{Name: disks, NodeID: node.Name, Allocatable: &storagev1.VolumeNodeResources{Count: &count}}},
	}}
}
