package v1alpha1_test

import "fmt"

// nodeClassCases are EC2NodeClass specs.
func nodeClassCases() []validationCase {
	cases := []validationCase{
		{name: "empty", spec: `{}`},
		{name: "everything supported", spec: `
amiFamily: AL2023
amiSelectorTerms: [{alias: al2023@latest}]
subnetSelectorTerms: [{tags: {slipway.dev/discovery: c, env: "*"}}, {id: subnet-0abc}]
securityGroupSelectorTerms: [{tags: {a: b}}, {id: sg-0abc}, {name: nodes}]
instanceProfile: my-nodes_1@x
blockDeviceMappings:
- deviceName: /dev/xvda
  rootVolume: true
  ebs: {volumeSize: 50Gi, volumeType: gp3, iops: 3000, throughput: 125, encrypted: true, kmsKeyID: k, deleteOnTermination: true}
- {deviceName: /dev/xvdb, ebs: {snapshotID: snap-0abc}}
metadataOptions: {httpEndpoint: enabled, httpProtocolIPv6: disabled, httpPutResponseHopLimit: 2, httpTokens: optional}
tags: {team: a, Name: node}
kubelet:
  clusterDNS: [10.100.0.10, "fd00::a"]
  maxPods: 20
  podsPerCore: 0
  systemReserved: {cpu: 100m, memory: "0", ephemeral-storage: 1Gi, pid: "1000"}
  kubeReserved: {cpu: "1", memory: 1.5Gi, ephemeral-storage: 1G, pid: "1000"}
  evictionHard: {memory.available: 5%, nodefs.available: 12.5%, nodefs.inodesFree: 100%, imagefs.available: 10Gi, imagefs.inodesFree: 0%, pid.available: 100.0%}
  evictionSoft: {memory.available: 500Mi}
  evictionSoftGracePeriod: {memory.available: 1m30s}
  evictionMaxPodGracePeriod: 60
  imageGCHighThresholdPercent: 75
  imageGCLowThresholdPercent: 70
  cpuCFSQuota: false
`},
		{name: "images by id", spec: `amiSelectorTerms: [{id: ami-0abc}, {id: ami-0def}]`},
		{name: "ami family", spec: `amiFamily: Bottlerocket`, want: []string{"spec.amiFamily", "other than AL2023 is not supported yet"}},
		{name: "no ami terms", spec: `amiSelectorTerms: []`, want: []string{"spec.amiSelectorTerms"}},
		{name: "empty ami term", spec: `amiSelectorTerms: [{}]`, want: []string{"must have either alias or id"}},
		{name: "alias and id", spec: `amiSelectorTerms: [{alias: al2023@latest, id: ami-0}]`, want: []string{"must have either alias or id"}},
		{name: "alias among others", spec: `amiSelectorTerms: [{alias: al2023@latest}, {id: ami-0}]`, want: []string{"an alias must be the only term"}},
		{name: "alias of another family", spec: `amiSelectorTerms: [{alias: bottlerocket@latest}]`, want: []string{"spec.amiSelectorTerms[0].alias", "no alias but al2023@latest"}},
		{name: "pinned alias", spec: `amiSelectorTerms: [{alias: al2023@v20260101}]`, want: []string{"select the image by id"}},
		{name: "ami id", spec: `amiSelectorTerms: [{id: sg-0}]`, want: []string{"spec.amiSelectorTerms[0].id"}},
		{name: "empty subnet term", spec: `subnetSelectorTerms: [{}]`, want: []string{"spec.subnetSelectorTerms[0]", "either tags or id"}},
		{name: "subnet tags and id", spec: `subnetSelectorTerms: [{id: subnet-0, tags: {a: b}}]`, want: []string{"either tags or id"}},
		{name: "no subnet terms", spec: `subnetSelectorTerms: []`, want: []string{"spec.subnetSelectorTerms"}},
		{name: "empty tag value", spec: `subnetSelectorTerms: [{tags: {a: ""}}]`, want: []string{"use * for any value"}},
		{name: "subnet cidr", spec: `subnetSelectorTerms: [{id: subnet-0, cidr: 10.0.0.0/8}]`, want: []string{"cidr is not supported yet"}},
		{name: "group name and tags", spec: `securityGroupSelectorTerms: [{name: a, tags: {a: b}}]`, want: []string{"exactly one of tags, id and name"}},
		{name: "empty group term", spec: `securityGroupSelectorTerms: [{}]`, want: []string{"exactly one of tags, id and name"}},
		{name: "instance profile ARN", spec: `instanceProfile: arn:aws:iam::1:instance-profile/a`, want: []string{"spec.instanceProfile", "not its ARN"}},
		{name: "hop limit", spec: `metadataOptions: {httpPutResponseHopLimit: 65}`, want: []string{"httpPutResponseHopLimit"}},
		{name: "tag of ours", spec: `tags: {slipway.dev/cluster: a}`, want: []string{"spec.tags", "keys under slipway.dev/ are set by the launcher"}},
		{name: "cluster tag", spec: `tags: {kubernetes.io/cluster/a: owned}`, want: []string{"kubernetes.io/cluster/* is set by the launcher"}},
		{name: "aws tag", spec: `tags: {"aws:a": b}`, want: []string{"belong to AWS"}},
		{name: "empty tag key", spec: `tags: {"": b}`, want: []string{"a key has 1 to 128 characters"}},
	}
	for _, tt := range []struct{ name, device, want string }{
		{"without ebs", `{deviceName: /dev/xvda}`, "ebs is missing"},
		{"without size", `{deviceName: /dev/xvda, ebs: {volumeType: gp3}}`, "volumeSize is missing"},
		{"size in Mi", `{deviceName: /dev/xvda, ebs: {volumeSize: 500Mi}}`, "ebs.volumeSize"},
		{"iops of gp2", `{deviceName: /dev/xvda, ebs: {volumeSize: 5Gi, volumeType: gp2, iops: 3000}}`, "iops needs volumeType gp3, io1 or io2"},
		{"throughput of io1", `{deviceName: /dev/xvda, ebs: {volumeSize: 5Gi, volumeType: io1, throughput: 200}}`, "throughput needs volumeType gp3"},
		{"key without encryption", `{deviceName: /dev/xvda, ebs: {volumeSize: 5Gi, kmsKeyID: k}}`, "kmsKeyID needs encrypted"},
		{"two roots", `{deviceName: a, rootVolume: true, ebs: {volumeSize: 5Gi}}, {deviceName: b, rootVolume: true, ebs: {volumeSize: 5Gi}}`, "only one may have rootVolume"},
		{"same name twice", `{deviceName: a, ebs: {volumeSize: 5Gi}}, {deviceName: a, ebs: {volumeSize: 5Gi}}`, "Duplicate value"},
		{"initialization rate", `{deviceName: a, ebs: {snapshotID: snap-0, volumeInitializationRate: 100}}`, "volumeInitializationRate is not supported yet"},
	} {
		cases = append(cases, validationCase{
			name: "device/" + tt.name,
			spec: fmt.Sprintf("blockDeviceMappings: [%s]", tt.device),
			want: []string{"spec.blockDeviceMappings", tt.want},
		})
	}
	for _, tt := range []struct{ name, kubelet, field, want string }{
		{"no pods", `maxPods: 0`, "maxPods", "greater than or equal to 1"},
		{"negative pods per core", `podsPerCore: -1`, "podsPerCore", "greater than or equal to 0"},
		{"name server by name", `clusterDNS: [dns.example.com]`, "clusterDNS", "must be IP addresses"},
		{"reserved GPUs", `kubeReserved: {nvidia.com/gpu: "1"}`, "kubeReserved", "only cpu, memory, ephemeral-storage and pid"},
		{"reserved pods", `systemReserved: {pods: "1"}`, "systemReserved", "only cpu, memory, ephemeral-storage and pid"},
		{"reserved without a number", `kubeReserved: {memory: much}`, "kubeReserved", "must be a quantity that is not negative"},
		{"reserved share", `systemReserved: {memory: 5%}`, "systemReserved", "must be a quantity that is not negative"},
		{"reserved below zero", `kubeReserved: {cpu: -100m}`, "kubeReserved", "must be a quantity that is not negative"},
		{"unknown hard signal", `evictionHard: {disk: 1Gi}`, "evictionHard", "signals are memory.available"},
		{"unknown soft signal", `evictionSoft: {disk: 1Gi}`, "evictionSoft", "signals are memory.available"},
		{"threshold without a number", `evictionHard: {memory.available: low}`, "evictionHard", "must be a quantity above zero"},
		{"threshold of zero", `evictionHard: {memory.available: "0"}`, "evictionHard", "must be a quantity above zero"},
		{"threshold above everything", `evictionHard: {memory.available: 101%}`, "evictionHard", "a share from 0% to 100%"},
		{"threshold below nothing", `evictionHard: {memory.available: -5%}`, "evictionHard", "a share from 0% to 100%"},
		{"soft without period", `evictionSoft: {memory.available: 5%}`, "evictionSoft", "every signal needs its period"},
		{"period of another signal", `evictionSoft: {memory.available: 5%}, evictionSoftGracePeriod: {nodefs.available: 1m}`,
			"evictionSoft", "every signal needs its period"},
		{"period without soft", `evictionSoftGracePeriod: {memory.available: 1m}`, "evictionSoftGracePeriod", "does nothing"},
		{"period without unit", `evictionSoft: {memory.available: 5%}, evictionSoftGracePeriod: {memory.available: "60"}`,
			"evictionSoftGracePeriod", "should match"},
		{"images removed below their end", `imageGCHighThresholdPercent: 70, imageGCLowThresholdPercent: 75`,
			"imageGCLowThresholdPercent", "must be below imageGCHighThresholdPercent"},
		{"images removed below the default end", `imageGCHighThresholdPercent: 80`, "imageGCLowThresholdPercent", "left out, they are 80 and 85"},
	} {
		cases = append(cases, validationCase{
			name: "kubelet/" + tt.name,
			spec: fmt.Sprintf("kubelet: {%s}", tt.kubelet),
			want: []string{"spec.kubelet." + tt.field, tt.want},
		})
	}
	for field, value := range map[string]string{
		"role":                     "r",
		"userData":                 "'#!/bin/sh'",
		"instanceStorePolicy":      "RAID0",
		"detailedMonitoring":       "true",
		"associatePublicIPAddress": "false",
		"ipPrefixCount":            "1",
		"context":                  "c",
	} {
		cases = append(cases, validationCase{
			name: "unsupported/" + field,
			spec: field + ": " + value,
			want: []string{"spec." + field, field + " is not supported yet; leave it out"},
		})
	}
	for _, field := range []string{"name", "owner", "ssmParameter"} {
		cases = append(cases, validationCase{
			name: "unsupported/ami by " + field,
			spec: fmt.Sprintf("amiSelectorTerms: [{id: ami-0, %s: a}]", field),
			want: []string{field + " is not supported yet; select the image by alias or id"},
		})
	}
	return append(cases, validationCase{
		name: "unsupported/ami by tags", spec: `amiSelectorTerms: [{tags: {a: b}}]`,
		want: []string{"tags is not supported yet; select the image by alias or id"},
	})
}
