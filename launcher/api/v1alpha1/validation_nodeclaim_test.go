package v1alpha1_test

import (
	"fmt"
	"strings"
)

const validOffering = `{instanceType: m5.large, zone: us-east-1a, capacityType: on-demand, price: "0.096"}`

// nodeClaimCases are NodeClaim specs.
func nodeClaimCases() []validationCase {
	claim := func(offerings, more string) string {
		return fmt.Sprintf("{nodePool: general, offerings: [%s]%s}", offerings, more)
	}
	pods := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "{uid: u%d, namespace: default, name: p},", i)
		}
		return b.String()
	}
	return []validationCase{
		{name: "valid", spec: claim(validOffering, `, nodeClassRef: {name: a}, pods: [{uid: u, namespace: default, name: p}],
  requests: {cpu: "1", pods: 3}, labels: {a: b}, annotations: {a: b}, taints: [{key: a, effect: NoSchedule}],
  requirements: [{key: example.com/a, operator: Exists}]`)},
		{name: "no pods", spec: claim(validOffering, "")},
		{name: "360 offerings", spec: claim(strings.Repeat(validOffering+",", 360), "")},
		{name: "361 offerings", spec: claim(strings.Repeat(validOffering+",", 361), ""), want: []string{"spec.offerings", "360"}},
		{name: "no offerings", spec: claim("", ""), want: []string{"spec.offerings", "at least 1"}},
		{name: "offering without zone", spec: claim(`{instanceType: a, capacityType: spot, price: 1}`, ""), want: []string{"spec.offerings[0].zone"}},
		{name: "unknown capacity type", spec: claim(`{instanceType: a, zone: b, capacityType: Spot, price: 1}`, ""), want: []string{"spec.offerings[0].capacityType"}},
		{name: "no pool", spec: `{nodePool: "", offerings: [` + validOffering + `]}`, want: []string{"spec.nodePool"}},
		{name: "512 pods", spec: claim(validOffering, ", pods: ["+pods(512)+"]")},
		{name: "513 pods", spec: claim(validOffering, ", pods: ["+pods(513)+"]"), want: []string{"spec.pods", "512"}},
		{name: "pod without uid", spec: claim(validOffering, ", pods: [{uid: '', namespace: a, name: b}]"), want: []string{"spec.pods[0].uid"}},
	}
}
