package v1alpha1_test

import (
	"fmt"
	"strings"
)

const validOffering = `{capacityType: on-demand, zones: [us-east-1a], types: [m5.large], priceMicros: [96000]}`

// nodeClaimCases are NodeClaim specs.
func nodeClaimCases() []validationCase {
	claim := func(offerings, more string) string {
		return fmt.Sprintf("{nodePool: general, offerings: [%s]%s}", offerings, more)
	}
	group := func(zones, types, prices string) string {
		return fmt.Sprintf("{capacityType: on-demand, zones: %s, types: [%s], priceMicros: [%s]}", zones, types, prices)
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
		{name: "100 types", spec: claim(group("[a]", strings.Repeat("a,", 100), strings.Repeat("1,", 100)), "")},
		{name: "101 types", spec: claim(group("[a]", strings.Repeat("a,", 101), strings.Repeat("1,", 101)), ""), want: []string{"spec.offerings[0].types", "100"}},
		{name: "17 zones", spec: claim(group("["+strings.Repeat("a,", 17)+"]", "a", "1"), ""), want: []string{"spec.offerings[0].zones", "16"}},
		{name: "a price for each zone", spec: claim(group("[a, b]", "a, b", "1, 2, 1, 3"), "")},
		{name: "a price for all zones", spec: claim(group("[a, b]", "a, b", "1, 2"), "")},
		{name: "too few prices", spec: claim(group("[a, b]", "a, b", "1, 2, 1"), ""), want: []string{"spec.offerings[0]", "one for every type and zone"}},
		{name: "a type without name", spec: claim(group("[a]", "''", "1"), ""), want: []string{"spec.offerings[0].types[0]"}},
		{name: "no offerings", spec: claim("", ""), want: []string{"spec.offerings", "at least 1"}},
		{name: "offering without zone", spec: claim(group("[]", "a", "1"), ""), want: []string{"spec.offerings[0].zones"}},
		{name: "unknown capacity type", spec: claim(`{capacityType: Spot, zones: [a], types: [a], priceMicros: [1]}`, ""), want: []string{"spec.offerings[0].capacityType"}},
		{name: "no pool", spec: `{nodePool: "", offerings: [` + validOffering + `]}`, want: []string{"spec.nodePool"}},
		{name: "512 pods", spec: claim(validOffering, ", pods: ["+pods(512)+"]")},
		{name: "513 pods", spec: claim(validOffering, ", pods: ["+pods(513)+"]"), want: []string{"spec.pods", "512"}},
		{name: "pod without uid", spec: claim(validOffering, ", pods: [{uid: '', namespace: a, name: b}]"), want: []string{"spec.pods[0].uid"}},
	}
}
