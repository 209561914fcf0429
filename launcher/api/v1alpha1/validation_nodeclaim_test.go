package v1alpha1_test

import (
	"fmt"
	"strings"
)

const validOffering = `{capacityType: on-demand, zones: [us-east-1a], types: [{name: m5.large, prices: ["0.096"]}]}`

// nodeClaimCases are NodeClaim specs.
func nodeClaimCases() []validationCase {
	claim := func(offerings, more string) string {
		return fmt.Sprintf("{nodePool: general, offerings: [%s]%s}", offerings, more)
	}
	group := func(zones, types string) string {
		return fmt.Sprintf("{capacityType: on-demand, zones: %s, types: [%s]}", zones, types)
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
		{name: "32 groups", spec: claim(strings.Repeat(validOffering+",", 32), "")},
		{name: "33 groups", spec: claim(strings.Repeat(validOffering+",", 33), ""), want: []string{"spec.offerings", "32"}},
		{name: "100 types", spec: claim(group("[a]", strings.Repeat("{name: a, prices: [1]},", 100)), "")},
		{name: "101 types", spec: claim(group("[a]", strings.Repeat("{name: a, prices: [1]},", 101)), ""), want: []string{"spec.offerings[0].types", "100"}},
		{name: "17 zones", spec: claim(group("["+strings.Repeat("a,", 17)+"]", "{name: a, prices: [1]}"), ""), want: []string{"spec.offerings[0].zones", "16"}},
		{name: "a price for each zone", spec: claim(group("[a, b]", "{name: a, prices: [1, '0.5']}, {name: b, prices: [1]}"), "")},
		{name: "too few prices", spec: claim(group("[a, b, c]", "{name: a, prices: [1, '0.5']}"), ""), want: []string{"spec.offerings[0]", "one for every zone"}},
		{name: "no price", spec: claim(group("[a]", "{name: a, prices: []}"), ""), want: []string{"spec.offerings[0].types[0].prices"}},
		{name: "no offerings", spec: claim("", ""), want: []string{"spec.offerings", "at least 1"}},
		{name: "offering without zone", spec: claim(group("[]", "{name: a, prices: [1]}"), ""), want: []string{"spec.offerings[0].zones"}},
		{name: "unknown capacity type", spec: claim(`{capacityType: Spot, zones: [a], types: [{name: a, prices: [1]}]}`, ""), want: []string{"spec.offerings[0].capacityType"}},
		{name: "no pool", spec: `{nodePool: "", offerings: [` + validOffering + `]}`, want: []string{"spec.nodePool"}},
		{name: "512 pods", spec: claim(validOffering, ", pods: ["+pods(512)+"]")},
		{name: "513 pods", spec: claim(validOffering, ", pods: ["+pods(513)+"]"), want: []string{"spec.pods", "512"}},
		{name: "pod without uid", spec: claim(validOffering, ", pods: [{uid: '', namespace: a, name: b}]"), want: []string{"spec.pods[0].uid"}},
	}
}
