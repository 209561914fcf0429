package ec2

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	kubeletapis "k8s.io/kubelet/pkg/apis"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// maxUserData is EC2's limit, before base64.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
const maxUserData = 16 << 10

// errUserData is wrapped by complaints about a class's own user data.
var errUserData = fmt.Errorf("%w: userData", cloud.ErrInvalid)

// userData returns what an instance of the claim boots with. It depends on the cluster, the
// class, the labels and the taints only, so that claims of one pool share it.
func userData(c Cluster, spec v1alpha1.EC2NodeClassSpec, labels map[string]string, taints []corev1.Taint) (string, error) {
	var document string
	var err error
	switch family := spec.Family(); family {
	case v1alpha1.AMIFamilyAL2023:
		document, err = al2023UserData(c, spec, labels, taints)
	case v1alpha1.AMIFamilyBottlerocket:
		document, err = bottlerocketUserData(c, spec, labels, taints)
	case v1alpha1.AMIFamilyCustom:
		document = aws.ToString(spec.UserData)
	default:
		return "", fmt.Errorf("%w: amiFamily %s is not supported", cloud.ErrInvalid, family)
	}
	if err != nil {
		return "", err
	}
	if len(document) > maxUserData {
		return "", fmt.Errorf("%w: the user data has %d bytes, EC2 takes %d; use fewer labels and taints", cloud.ErrInvalid, len(document), maxUserData)
	}
	return document, nil
}

// nodeLabels are the labels the kubelet registers with: the claim's, its pool, and how
// the node is paid for. The kubelet refuses to start with labels in Kubernetes' own
// namespaces that it does not know; those are left to whoever sees the node register.
func nodeLabels(claim *v1alpha1.NodeClaim, f fleet) map[string]string {
	labels := map[string]string{}
	for key, value := range claim.Spec.Labels {
		if !isKubernetesLabel(key) || kubeletapis.IsKubeletLabel(key) {
			labels[key] = value
		}
	}
	labels[v1alpha1.LabelNodePool] = claim.Spec.NodePool
	labels[v1alpha1.LabelCapacityType] = f.capacityType
	if id := f.reservationID(); id != "" {
		labels[v1alpha1.LabelReservationID] = id
	}
	return labels
}

// registeredLabels are the node's labels and their aliases.
func (p *Provider) registeredLabels(claim *v1alpha1.NodeClaim, f fleet) map[string]string {
	labels := nodeLabels(claim, f)
	offering.AddAliases(labels, p.cfg.LabelAliases)
	return labels
}

func isKubernetesLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return false
	}
	for _, d := range []string{"kubernetes.io", "k8s.io"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

func joinLabels(labels map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}

func joinTaints(taints []corev1.Taint) string {
	var all []string
	for _, t := range taints {
		all = append(all, t.ToString())
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
