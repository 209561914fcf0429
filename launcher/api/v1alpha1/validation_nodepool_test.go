package v1alpha1_test

import (
	"fmt"
	"strings"
)

// nodePoolCases are NodePool specs.
func nodePoolCases() []validationCase {
	cases := []validationCase{
		{name: "empty", spec: `{}`},
		{name: "everything supported", spec: `
template:
  metadata:
    labels: {team: a, example.com/tier: "1", node.kubernetes.io/lifecycle: x}
    annotations: {example.com/Note: a, slipway.dev/do-not-disrupt: "true"}
  spec:
    nodeClassRef: {name: default}
    requirements:
    - {key: team, operator: In, values: [a]}
    - {key: node.kubernetes.io/instance-type, operator: NotIn, values: [t3.nano, u-6tb1.metal]}
    - {key: slipway.dev/instance-gpu-name, operator: DoesNotExist}
    - {key: topology.kubernetes.io/zone, operator: Exists}
    - {key: slipway.dev/instance-generation, operator: Gt, values: ["4"]}
    - {key: slipway.dev/instance-cpu, operator: Lt, values: ["65"]}
    - {key: slipway.dev/instance-memory, operator: Gte, values: ["0"]}
    - {key: slipway.dev/instance-memory, operator: Lte, values: ["999999999999999999"]}
    - {key: slipway.dev/capacity-type, operator: In, values: [spot, on-demand]}
    taints: [{key: example.com/a, value: b, effect: NoSchedule}, {key: example.com/a, effect: NoExecute}]
    startupTaints: [{key: cni, effect: NoExecute}]
    expireAfter: Never
disruption:
  consolidationPolicy: WhenEmpty
  consolidateAfter: 1h30m
  budgets: [{nodes: "10%"}, {nodes: "0", reasons: [Drifted, Empty]}]
limits: {cpu: 100, memory: 1000Gi, nodes: "10", example.com/gpu: 0}
weight: 100
`},
		{name: "replicas", spec: `{replicas: 3, limits: {nodes: 4}}`},
		{name: "no replicas", spec: `{replicas: 0}`},
		{name: "replicas below 0", spec: `{replicas: -1}`, want: []string{"spec.replicas"}},
		{name: "replicas with a weight", spec: `{replicas: 3, weight: 10}`, want: []string{"spec.weight", "leave one of the two out"}},
		{name: "replicas with a limit of cpu", spec: `{replicas: 3, limits: {cpu: 10, nodes: 4}}`, want: []string{"spec.limits", "only nodes can be limited"}},
		{name: "replicas with minValues", want: []string{"spec.template.spec.requirements", "minValues is not supported with replicas"},
			spec: `{replicas: 3, template: {spec: {requirements: [{key: slipway.dev/instance-family, operator: Exists, minValues: 2}]}}}`},
		{name: "weight above 100", spec: `{weight: 101}`, want: []string{"spec.weight", "100"}},
		{name: "weight below 0", spec: `{weight: -1}`, want: []string{"spec.weight"}},
		{name: "limit below 0", spec: `{limits: {cpu: "-1"}}`, want: []string{"spec.limits", "must not be negative"}},
		{name: "integer limit below 0", spec: `{limits: {cpu: -1}}`, want: []string{"must not be negative"}},
		{name: "limit that is no quantity", spec: `{limits: {cpu: lots}}`, want: []string{"spec.limits"}},
	}
	for _, group := range [][]validationCase{
		requirementCases(), templateCases(), disruptionCases(),
	} {
		cases = append(cases, group...)
	}
	return cases
}

func requirementCases() []validationCase {
	var cases []validationCase
	for _, tt := range []struct {
		name, requirement string
		want              []string
	}{
		{"minValues beyond the values", `{key: slipway.dev/instance-family, operator: In, values: [m5, c5], minValues: 3}`,
			[]string{"spec.template.spec.requirements[0].minValues", "minValues is more than there are values"}},
		{"minValues of a label that is absent", `{key: slipway.dev/instance-family, operator: DoesNotExist, minValues: 3}`,
			[]string{"spec.template.spec.requirements[0].minValues", "can never be kept"}},
		{"unknown operator", `{key: kubernetes.io/arch, operator: Like, values: [a]}`,
			[]string{"requirements[0].operator", `"In", "NotIn"`}},
		{"In without values", `{key: kubernetes.io/arch, operator: In}`, []string{"In and NotIn need at least one value"}},
		{"NotIn with no values", `{key: kubernetes.io/arch, operator: NotIn, values: []}`, []string{"In and NotIn need at least one value"}},
		{"Exists with values", `{key: kubernetes.io/arch, operator: Exists, values: [amd64]}`, []string{"take no values; leave them out"}},
		{"Gt without values", `{key: slipway.dev/instance-cpu, operator: Gt}`, []string{"exactly one value"}},
		{"Gt with two values", `{key: slipway.dev/instance-cpu, operator: Gt, values: ["1", "2"]}`, []string{"exactly one value"}},
		{"Lt with a word", `{key: slipway.dev/instance-cpu, operator: Lt, values: [many]}`, []string{"an integer of at least 0"}},
		{"Gte below 0", `{key: slipway.dev/instance-cpu, operator: Gte, values: ["-1"]}`, []string{"requirements[0]"}},
		{"Lte out of range", `{key: slipway.dev/instance-cpu, operator: Lte, values: ["9223372036854775807"]}`, []string{"an integer of at least 0"}},
		{"invalid key", `{key: "a b", operator: Exists}`, []string{"requirements[0].key", "not a valid label key"}},
		{"invalid value", `{key: node.kubernetes.io/instance-type, operator: In, values: ["t3 medium"]}`, []string{"requirements[0].values[0]"}},
		{"hostname", `{key: kubernetes.io/hostname, operator: In, values: [a]}`, []string{"requirements[0].key", "names a single node"}},
		{"unknown key", `{key: example.com/tier, operator: In, values: [a]}`,
			[]string{"spec.template", "spec.requirements: a key is neither a well-known label nor one that metadata.labels defines"}},
		{"unknown key of the node", `{key: node.kubernetes.io/tier, operator: Exists}`,
			[]string{"spec.template", "under node.kubernetes.io or kubelet.kubernetes.io is not one that metadata.labels defines"}},
		{"unknown key of Kubernetes", `{key: kubernetes.io/zone, operator: Exists}`,
			[]string{"requirements[0].key", "use kubernetes.io/arch, kubernetes.io/os"}},
		{"unknown key of ours", `{key: slipway.dev/instance-cpus, operator: Exists}`, []string{"requirements[0].key", "use kubernetes.io/arch, kubernetes.io/os"}},
		{"the pool's own label", `{key: slipway.dev/nodepool, operator: Exists}`, []string{"requirements[0].key", "or slipway.dev/instance-*"}},
		{"Karpenter's key", `{key: karpenter.sh/capacity-type, operator: In, values: [spot]}`, []string{"are called slipway.dev/* here"}},
		{"reserved capacity", `{key: slipway.dev/capacity-type, operator: In, values: [reserved, on-demand]}`, nil},
		{"unknown capacity", `{key: slipway.dev/capacity-type, operator: In, values: [barter]}`, []string{"on-demand, spot or reserved"}},
		{"one reservation", `{key: slipway.dev/capacity-reservation-id, operator: In, values: [cr-0]}`, nil},
		{"not reserved capacity", `{key: slipway.dev/capacity-type, operator: NotIn, values: [reserved]}`, nil},
		{"unknown architecture", `{key: kubernetes.io/arch, operator: In, values: [x86_64]}`, []string{"amd64 or arm64"}},
		{"Windows", `{key: kubernetes.io/os, operator: In, values: [windows]}`, []string{"linux is not supported yet"}},
	} {
		cases = append(cases, validationCase{
			name: "requirement/" + tt.name,
			spec: fmt.Sprintf("template: {spec: {requirements: [%s]}}", tt.requirement),
			want: tt.want,
		})
	}
	many := strings.Repeat("{key: kubernetes.io/arch, operator: Exists},", 65)
	return append(cases, validationCase{
		name: "requirement/too many",
		spec: "template: {spec: {requirements: [" + many + "]}}",
		want: []string{"spec.template.spec.requirements", "64"},
	})
}

func templateCases() []validationCase {
	return []validationCase{
		{name: "template/label of ours", spec: `template: {metadata: {labels: {slipway.dev/instance-cpu: "4"}}}`,
			want: []string{"template.metadata.labels", "keys under slipway.dev/ are set by the launcher"}},
		{name: "template/label the kubelet refuses", spec: `template: {metadata: {labels: {node-role.kubernetes.io/worker: ""}}}`,
			want: []string{"refused by the kubelet"}},
		{name: "template/architecture as a label", spec: `template: {metadata: {labels: {kubernetes.io/arch: arm64}}}`,
			want: []string{"constrain them in template.spec.requirements"}},
		{name: "template/instance type as a label", spec: `template: {metadata: {labels: {node.kubernetes.io/instance-type: m5.large}}}`,
			want: []string{"constrain them in template.spec.requirements"}},
		{name: "template/domain that only looks like Kubernetes'", spec: `template: {metadata: {labels: {notkubernetes.io/a: b}}}`},
		{name: "template/invalid label key", spec: `template: {metadata: {labels: {"a b": c}}}`, want: []string{"a key is not a valid label key"}},
		{name: "template/invalid label value", spec: `template: {metadata: {labels: {a: "b c"}}}`, want: []string{"a value is not a valid label value"}},
		{name: "template/invalid annotation key", spec: `template: {metadata: {annotations: {"a b": c}}}`, want: []string{"annotations: a key is not valid"}},
		{name: "template/annotation of ours", spec: `template: {metadata: {annotations: {slipway.dev/price: "1"}}}`,
			want: []string{"annotations: keys under slipway.dev/ other than"}},
		{name: "template/class of another kind", spec: `template: {spec: {nodeClassRef: {kind: GCENodeClass, name: a}}}`,
			want: []string{"nodeClassRef.kind", "EC2NodeClass"}},
		{name: "template/class of another group", spec: `template: {spec: {nodeClassRef: {group: karpenter.k8s.aws, name: a}}}`,
			want: []string{"nodeClassRef.group", "slipway.dev"}},
		{name: "template/class without name", spec: `template: {spec: {nodeClassRef: {kind: EC2NodeClass}}}`,
			want: []string{"nodeClassRef.name", "Required"}},
		{name: "template/expireAfter", spec: `template: {spec: {expireAfter: 720h}}`},
		{name: "template/expireAfter at once", spec: `template: {spec: {expireAfter: 59s}}`,
			want: []string{"spec.template.spec.expireAfter", "at least a minute"}},
		{name: "template/expireAfter in days", spec: `template: {spec: {expireAfter: 30d}}`,
			want: []string{"spec.template.spec.expireAfter", "such as 720h"}},
		{name: "template/terminationGracePeriod", spec: `template: {spec: {terminationGracePeriod: 1h30m0s}}`},
		{name: "template/terminationGracePeriod below 0", spec: `template: {spec: {terminationGracePeriod: -1h}}`,
			want: []string{"spec.template.spec.terminationGracePeriod", "such as 30m or 1h30m"}},
		{name: "template/taint effect", spec: `template: {spec: {taints: [{key: a, effect: Never}]}}`,
			want: []string{"spec.template.spec.taints", "NoSchedule, PreferNoSchedule or NoExecute"}},
		{name: "template/taint key", spec: `template: {spec: {taints: [{key: "a b", effect: NoSchedule}]}}`,
			want: []string{"taints: a key is not a valid label key"}},
		{name: "template/taint value", spec: `template: {spec: {startupTaints: [{key: a, value: "b c", effect: NoSchedule}]}}`,
			want: []string{"startupTaints: a value is not a valid label value"}},
		{name: "template/taint of ours", spec: `template: {spec: {taints: [{key: slipway.dev/disrupted, effect: NoSchedule}]}}`,
			want: []string{"taints: keys under slipway.dev/"}},
		{name: "template/taint twice", spec: `template: {spec: {taints: [{key: a, value: b, effect: NoSchedule}, {key: a, effect: NoSchedule}]}}`,
			want: []string{"two entries have the same key and effect"}},
		{name: "template/taint with a time", spec: `template: {spec: {taints: [{key: a, effect: NoSchedule, timeAdded: "2026-01-01T00:00:00Z"}]}}`,
			want: []string{"timeAdded is set by the cluster"}},
	}
}

func disruptionCases() []validationCase {
	return []validationCase{
		{name: "disruption/consolidateAfter Never", spec: `disruption: {consolidateAfter: Never}`},
		{name: "disruption/consolidateAfter at once", spec: `disruption: {consolidateAfter: 0s}`},
		{name: "disruption/consolidateAfter without unit", spec: `disruption: {consolidateAfter: "30"}`,
			want: []string{"spec.disruption.consolidateAfter", "such as 30s or 1h30m"}},
		{name: "disruption/consolidateAfter below 0", spec: `disruption: {consolidateAfter: -1s}`, want: []string{"such as 30s or 1h30m"}},
		{name: "disruption/underutilized", spec: `disruption: {consolidationPolicy: WhenEmptyOrUnderutilized}`},
		{name: "disruption/unknown policy", spec: `disruption: {consolidationPolicy: WhenIdle}`,
			want: []string{"spec.disruption.consolidationPolicy", "WhenEmpty"}},
		{name: "disruption/budget at times", spec: `disruption: {budgets: [{nodes: "0", schedule: "*/30 9-17 * * mon-fri", duration: 1h30m}]}`},
		{name: "disruption/budget every day", spec: `disruption: {budgets: [{nodes: "0", schedule: "@daily", duration: 10m0s}]}`},
		{name: "disruption/budget schedule alone", spec: `disruption: {budgets: [{nodes: "1", schedule: "@daily"}]}`,
			want: []string{"spec.disruption.budgets[0]", "schedule and duration belong together"}},
		{name: "disruption/budget duration alone", spec: `disruption: {budgets: [{nodes: "1", duration: 1h}]}`,
			want: []string{"spec.disruption.budgets[0]", "schedule and duration belong together"}},
		{name: "disruption/budget every so often", spec: `disruption: {budgets: [{nodes: "1", schedule: "@every 1h", duration: 1h}]}`,
			want: []string{"spec.disruption.budgets[0].schedule", "such as 0 9 * * mon-fri"}},
		{name: "disruption/budget in a time zone", spec: `disruption: {budgets: [{nodes: "1", schedule: "TZ=Asia/Tokyo 0 9 * * *", duration: 1h}]}`,
			want: []string{"spec.disruption.budgets[0].schedule", "such as 0 9 * * mon-fri"}},
		{name: "disruption/budget for seconds", spec: `disruption: {budgets: [{nodes: "1", schedule: "@daily", duration: 59s}]}`,
			want: []string{"spec.disruption.budgets[0].duration", "at least a minute"}},
		{name: "disruption/budget of 101 percent", spec: `disruption: {budgets: [{nodes: "101%"}]}`,
			want: []string{"spec.disruption.budgets[0].nodes", "such as 10%"}},
		{name: "disruption/budget of words", spec: `disruption: {budgets: [{nodes: some}]}`, want: []string{"such as 10%"}},
		{name: "disruption/unknown reason", spec: `disruption: {budgets: [{nodes: "1", reasons: [Bored]}]}`,
			want: []string{"spec.disruption.budgets[0].reasons[0]", "Empty"}},
		{name: "disruption/no budgets", spec: `disruption: {budgets: []}`, want: []string{"spec.disruption.budgets", "at least 1"}},
	}
}
