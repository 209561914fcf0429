package reallocate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
)

// asBuilt is a claim, its node, and the blueprint that both were made after.
func asBuilt() (*v1alpha1.NodeClaim, *corev1.Node, blueprint) {
	ref := &v1alpha1.NodeClassReference{Kind: "EC2NodeClass", Name: "class"}
	taints := []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "b", Effect: corev1.TaintEffectNoExecute}}
	pool := &v1alpha1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: "pool"}}
	pool.Spec.Template.Metadata = v1alpha1.TemplateMeta{Labels: map[string]string{"team": "x"}, Annotations: map[string]string{"note": "y"}}
	pool.Spec.Template.Spec = v1alpha1.NodeTemplateSpec{
		NodeClassRef: ref, Taints: taints, StartupTaints: []corev1.Taint{{Key: "starting", Effect: corev1.TaintEffectNoSchedule}},
		Requirements: []v1alpha1.Requirement{{Key: v1alpha1.LabelInstanceFamily, Operator: v1alpha1.OpIn, Values: []string{"m5", "m6i"}}},
	}
	class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "class"}, Spec: v1alpha1.EC2NodeClassSpec{UserData: new("echo")}}
	class.Status = v1alpha1.EC2NodeClassStatus{
		AMIs:           []v1alpha1.AMI{{ID: "ami-1", Architecture: "amd64"}, {ID: "ami-2", Architecture: "arm64"}},
		Subnets:        []v1alpha1.Subnet{{ID: "subnet-1"}, {ID: "subnet-2"}},
		SecurityGroups: []v1alpha1.SecurityGroup{{ID: "sg-2"}, {ID: "sg-1"}},
	}
	claim := &v1alpha1.NodeClaim{}
	claim.Spec = v1alpha1.NodeClaimSpec{
		NodePool: "pool", NodeClassRef: ref, Labels: map[string]string{"team": "x", v1alpha1.LabelNodePool: "pool"},
		Annotations: map[string]string{"note": "y"}, Taints: []corev1.Taint{taints[1], taints[0]}, StartupTaints: pool.Spec.Template.Spec.StartupTaints,
	}
	claim.Status = v1alpha1.NodeClaimStatus{
		ImageID: "ami-1", ClassFields: class.FieldHashes(), SubnetID: "subnet-2", SecurityGroups: []string{"sg-1", "sg-2"},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
		v1alpha1.LabelInstanceFamily: "m5", v1alpha1.LabelCapacityType: v1alpha1.CapacityTypeOnDemand, corev1.LabelArchStable: "amd64",
	}}}
	return claim, node, blueprint{pool: pool, class: class, resolved: &class.Status}
}

func TestDriftOf(t *testing.T) {
	type template = v1alpha1.NodeTemplate
	inPool := func(change func(*template)) func(*v1alpha1.NodeClaim, *corev1.Node, *blueprint) {
		return func(_ *v1alpha1.NodeClaim, _ *corev1.Node, b *blueprint) { change(&b.pool.Spec.Template) }
	}
	inClass := func(change func(*v1alpha1.EC2NodeClass)) func(*v1alpha1.NodeClaim, *corev1.Node, *blueprint) {
		return func(_ *v1alpha1.NodeClaim, _ *corev1.Node, b *blueprint) { change(b.class) }
	}
	for _, tt := range []struct {
		name    string
		change  func(*v1alpha1.NodeClaim, *corev1.Node, *blueprint)
		reason  string // empty: no drift
		message string
	}{
		{name: "as built", change: func(*v1alpha1.NodeClaim, *corev1.Node, *blueprint) {}},
		{name: "class of another name", reason: reasonPoolChanged, message: "spec.template.spec.nodeClassRef of NodePool pool was changed",
			change: inPool(func(s *template) {
				s.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Kind: "EC2NodeClass", Name: "other"}
			})},
		{name: "no class", reason: reasonPoolChanged, message: "spec.template.spec.nodeClassRef of NodePool pool was changed",
			change: inPool(func(s *template) { s.Spec.NodeClassRef = nil })},
		{name: "label changed", reason: reasonPoolChanged, message: "spec.template.metadata.labels[team] of NodePool pool was changed",
			change: inPool(func(s *template) { s.Metadata.Labels = map[string]string{"team": "z"} })},
		{name: "label added", reason: reasonPoolChanged, message: "spec.template.metadata.labels[new] of NodePool pool was changed",
			change: inPool(func(s *template) { s.Metadata.Labels["new"] = "" })},
		{name: "label removed", reason: reasonPoolChanged, message: "spec.template.metadata.labels[team] of NodePool pool was changed",
			change: inPool(func(s *template) { s.Metadata.Labels = nil })},
		{name: "annotation", reason: reasonPoolChanged, message: "spec.template.metadata.annotations[note] of NodePool pool was changed",
			change: inPool(func(s *template) { s.Metadata.Annotations["note"] = "z" })},
		{name: "taint value", reason: reasonPoolChanged, message: "spec.template.spec.taints of NodePool pool was changed",
			change: inPool(func(s *template) { s.Spec.Taints[0].Value = "v" })},
		{name: "taint removed", reason: reasonPoolChanged, message: "spec.template.spec.taints of NodePool pool was changed",
			change: inPool(func(s *template) { s.Spec.Taints = s.Spec.Taints[:1] })},
		{name: "start-up taints", reason: reasonPoolChanged, message: "spec.template.spec.startupTaints of NodePool pool was changed",
			change: inPool(func(s *template) { s.Spec.StartupTaints = nil })},
		{name: "requirement not met", reason: reasonRequirements,
			message: "spec.template.spec.requirements of NodePool pool does not allow slipway.dev/instance-family=m5",
			change:  inPool(func(s *template) { s.Spec.Requirements[0].Values = []string{"m6i"} })},
		{name: "requirement added", reason: reasonRequirements,
			message: "spec.template.spec.requirements of NodePool pool does not allow slipway.dev/capacity-type=on-demand",
			change: inPool(func(s *template) {
				s.Spec.Requirements = append(s.Spec.Requirements, v1alpha1.Requirement{Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{"spot"}})
			})},
		{name: "requirement changed and met", change: inPool(func(s *template) { s.Spec.Requirements[0].Values = []string{"m5"} })},
		{name: "requirement of a label that the node lacks", change: inPool(func(s *template) {
			s.Spec.Requirements = append(s.Spec.Requirements, v1alpha1.Requirement{Key: corev1.LabelTopologyRegion, Operator: v1alpha1.OpIn, Values: []string{"eu-west-1"}})
		})},
		{name: "default requirement not met", reason: reasonRequirements,
			message: "spec.template.spec.requirements of NodePool pool does not allow kubernetes.io/arch=arm64",
			change:  func(_ *v1alpha1.NodeClaim, n *corev1.Node, _ *blueprint) { n.Labels[corev1.LabelArchStable] = "arm64" }},
		{name: "what does not shape nodes", change: inPool(func(s *template) {
			s.Spec.ExpireAfter, s.Spec.TerminationGracePeriod = "720h", &metav1.Duration{}
		})},
		{name: "field of the class", reason: reasonClassChanged, message: "spec.userData of EC2NodeClass class was changed",
			change: inClass(func(c *v1alpha1.EC2NodeClass) { c.Spec.UserData = new("true") })},
		{name: "new image", reason: reasonImageChanged, message: "image ami-1 is not one of the class's any more: status.amis",
			change: inClass(func(c *v1alpha1.EC2NodeClass) { c.Status.AMIs[0].ID = "ami-3" })},
		{name: "subnet", reason: reasonSubnetChanged, message: "subnet subnet-2 is not one of the class's any more: status.subnets",
			change: inClass(func(c *v1alpha1.EC2NodeClass) { c.Status.Subnets = c.Status.Subnets[:1] })},
		{name: "another subnet of the class", change: inClass(func(c *v1alpha1.EC2NodeClass) { c.Status.Subnets = c.Status.Subnets[1:] })},
		{name: "security group added", reason: reasonGroupsChanged,
			message: "security groups are [sg-1 sg-2], the class's are [sg-1 sg-2 sg-3]: status.securityGroups",
			change: inClass(func(c *v1alpha1.EC2NodeClass) {
				c.Status.SecurityGroups = append(c.Status.SecurityGroups, v1alpha1.SecurityGroup{ID: "sg-3"})
			})},
		{name: "security group taken off the instance", reason: reasonGroupsChanged,
			message: "security groups are [sg-1], the class's are [sg-1 sg-2]: status.securityGroups",
			change:  func(c *v1alpha1.NodeClaim, _ *corev1.Node, _ *blueprint) { c.Status.SecurityGroups = []string{"sg-1"} }},
		{name: "network not known yet", change: func(c *v1alpha1.NodeClaim, _ *corev1.Node, _ *blueprint) {
			c.Status.SubnetID, c.Status.SecurityGroups = "", nil
		}},
		{name: "bought by an earlier version", change: func(c *v1alpha1.NodeClaim, _ *corev1.Node, _ *blueprint) { c.Status.ClassFields = nil }},
		{name: "class not resolved", change: func(_ *v1alpha1.NodeClaim, _ *corev1.Node, b *blueprint) {
			b.resolved = nil
			b.class.Status.AMIs[0].ID = "ami-3"
		}},
		{name: "class resolved to nothing", change: func(_ *v1alpha1.NodeClaim, _ *corev1.Node, b *blueprint) {
			b.resolved = &v1alpha1.EC2NodeClassStatus{}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claim, node, b := asBuilt()
			tt.change(claim, node, &b)
			d, err := driftOf(claim, node, b)
			if err != nil {
				t.Fatal(err)
			}
			var want *drift
			if tt.reason != "" {
				want = &drift{tt.reason, tt.message}
			}
			if diff := cmp.Diff(want, d, cmp.AllowUnexported(drift{})); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDriftOfUnreadableRequirement(t *testing.T) {
	claim, node, b := asBuilt()
	b.pool.Spec.Template.Spec.Requirements[0].Operator = "Like"
	if d, err := driftOf(claim, node, b); err == nil || d != nil {
		t.Errorf("got %v, %v", d, err)
	}
}
