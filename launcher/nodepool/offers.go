package nodepool

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// offers says whether any offering satisfies the pool. Offerings that have no
// capacity for the moment count: that passes by itself.
func offers(pool *v1alpha1.NodePool, m v1alpha1.Matcher, instanceTypes []offering.Type) metav1.Condition {
	seen := 0
	for _, t := range instanceTypes {
		labels := maps.Clone(pool.Spec.Template.Metadata.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, t.Labels)
		for _, o := range t.Offerings {
			labels[corev1.LabelTopologyZone] = o.Zone
			labels[v1alpha1.LabelCapacityType] = o.CapacityType
			delete(labels, v1alpha1.LabelReservationID)
			if o.Reservation != nil {
				labels[v1alpha1.LabelReservationID] = o.Reservation.ID
			}
			if m.Match(labels) {
				return ready()
			}
			seen++
		}
	}
	return notReady(ReasonNoOffering, fmt.Sprintf(
		"none of the %d offerings of %d instance types satisfies spec.template.spec.requirements%s; loosen them",
		seen, len(instanceTypes), defaultsNote(pool)))
}

// defaultsNote reminds of the requirements that the pool does not spell out.
func defaultsNote(pool *v1alpha1.NodePool) string {
	own := len(pool.Spec.Template.Spec.Requirements)
	var defaults []string
	for _, r := range pool.EffectiveRequirements()[own:] {
		defaults = append(defaults, r.Key+" "+r.Values[0])
	}
	if len(defaults) == 0 {
		return ""
	}
	return " and the defaults (" + strings.Join(defaults, ", ") + ")"
}
