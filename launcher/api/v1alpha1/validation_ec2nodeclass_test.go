package v1alpha1_test

import "fmt"

// nodeClassCases are EC2NodeClass specs.
func nodeClassCases() []validationCase {
	cases := []validationCase{
		{name: "empty", spec: `{}`},
		{name: "everything supported", spec: `
amiFamily: AL2023
amiSelectorTerms: [{alias: al2023@latest}]
subnetSelectorTerms: [{tags: {slipway.dev/discovery: c, env: "*"}}, {id: subnet-0abc}, {cidr: 10.0.0.0/18}, {cidr: 10.0.0.0/18, tags: {a: b}}]
securityGroupSelectorTerms: [{tags: {a: b}}, {id: sg-0abc}, {name: nodes}]
instanceProfile: my-nodes_1@x
blockDeviceMappings:
- deviceName: /dev/xvda
  rootVolume: true
  ebs: {volumeSize: 50Gi, volumeType: gp3, iops: 3000, throughput: 125, encrypted: true, kmsKeyID: k, deleteOnTermination: true}
- {deviceName: /dev/xvdb, ebs: {snapshotID: snap-0abc, volumeInitializationRate: 100}}
userData: "#!/bin/sh"
instanceStorePolicy: RAID0
detailedMonitoring: true
associatePublicIPAddress: false
ipPrefixCount: 1
context: c
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
		{name: "images by everything", spec: `amiSelectorTerms: [{tags: {a: "*"}, name: "my-*", owner: self}, {name: x, owner: "111122223333"}, {ssmParameter: /my/image}, {id: ami-0}]`},
		{name: "pinned alias", spec: `amiSelectorTerms: [{alias: al2023@v20260101}]`},
		{name: "bottlerocket", spec: `{amiSelectorTerms: [{alias: bottlerocket@v1.50.0}], kubelet: {maxPods: 20}}`},
		{name: "bottlerocket, said twice", spec: `{amiFamily: Bottlerocket, amiSelectorTerms: [{alias: bottlerocket@latest}]}`},
		{name: "custom", spec: `{amiFamily: Custom, amiSelectorTerms: [{id: ami-0}], userData: "#!/bin/sh"}`},
		{name: "custom with the images of an alias", spec: `{amiFamily: Custom, userData: "#!/bin/sh"}`},
		{name: "role", spec: `role: my-nodes`},
		{name: "ami family", spec: `amiFamily: AL2`, want: []string{"spec.amiFamily", "only AL2023, Bottlerocket and Custom are supported"}},
		{name: "family without its images", spec: `amiFamily: Bottlerocket`, want: []string{"spec.amiFamily", "that of the alias, AL2023"}},
		{name: "family of another alias", spec: `{amiFamily: AL2023, amiSelectorTerms: [{alias: bottlerocket@latest}]}`, want: []string{"spec.amiFamily", "that of the alias, Bottlerocket"}},
		{name: "custom without user data", spec: `amiFamily: Custom`, want: []string{"spec.userData", "userData is missing"}},
		{name: "custom with local disks", spec: `{amiFamily: Custom, userData: x, instanceStorePolicy: RAID0}`, want: []string{"spec.instanceStorePolicy", "set the disks up"}},
		{name: "bottlerocket with pods per core", spec: `{amiSelectorTerms: [{alias: bottlerocket@latest}], kubelet: {podsPerCore: 2}}`, want: []string{"spec.kubelet", "podsPerCore cannot be set on Bottlerocket"}},
		{name: "role and profile", spec: `{role: a, instanceProfile: b}`, want: []string{"spec.role", "exclude each other"}},
		{name: "role ARN", spec: `role: arn:aws:iam::1:role/a`, want: []string{"spec.role", "not its ARN"}},
		{name: "no ami terms", spec: `amiSelectorTerms: []`, want: []string{"spec.amiSelectorTerms"}},
		{name: "empty ami term", spec: `amiSelectorTerms: [{}]`, want: []string{"must have alias, id or ssmParameter"}},
		{name: "alias and id", spec: `amiSelectorTerms: [{alias: al2023@latest, id: ami-0}]`, want: []string{"must have alias, id or ssmParameter"}},
		{name: "alias among others", spec: `amiSelectorTerms: [{alias: al2023@latest}, {id: ami-0}]`, want: []string{"an alias must be the only term"}},
		{name: "alias of another family", spec: `amiSelectorTerms: [{alias: al2@latest}]`, want: []string{"spec.amiSelectorTerms[0].alias", "an alias is al2023@latest"}},
		{name: "alias without release", spec: `amiSelectorTerms: [{alias: al2023}]`, want: []string{"spec.amiSelectorTerms[0].alias", "an alias is al2023@latest"}},
		{name: "ami by owner", spec: `amiSelectorTerms: [{owner: self}]`, want: []string{"must have alias, id or ssmParameter"}},
		{name: "ami by id and owner", spec: `amiSelectorTerms: [{id: ami-0, owner: self}]`, want: []string{"owner goes with tags or name only"}},
		{name: "ami by id and name", spec: `amiSelectorTerms: [{id: ami-0, name: a}]`, want: []string{"must have alias, id or ssmParameter"}},
		{name: "owner", spec: `amiSelectorTerms: [{name: a, owner: me}]`, want: []string{"spec.amiSelectorTerms[0].owner"}},
		{name: "ami id", spec: `amiSelectorTerms: [{id: sg-0}]`, want: []string{"spec.amiSelectorTerms[0].id"}},
		{name: "empty subnet term", spec: `subnetSelectorTerms: [{}]`, want: []string{"spec.subnetSelectorTerms[0]", "either id, or tags or cidr"}},
		{name: "subnet tags and id", spec: `subnetSelectorTerms: [{id: subnet-0, tags: {a: b}}]`, want: []string{"either id, or tags or cidr"}},
		{name: "no subnet terms", spec: `subnetSelectorTerms: []`, want: []string{"spec.subnetSelectorTerms"}},
		{name: "empty tag value", spec: `subnetSelectorTerms: [{tags: {a: ""}}]`, want: []string{"use * for any value"}},
		{name: "subnet id and cidr", spec: `subnetSelectorTerms: [{id: subnet-0, cidr: 10.0.0.0/8}]`, want: []string{"either id, or tags or cidr"}},
		{name: "subnet cidr", spec: `subnetSelectorTerms: [{cidr: 10.0.0.0}]`, want: []string{"cidr must be a range"}},
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
		{"initialization rate", `{deviceName: a, ebs: {volumeSize: 5Gi, volumeInitializationRate: 100}}`, "volumeInitializationRate needs a snapshotID"},
	} {
		cases = append(cases, validationCase{
			name: "device/" + tt.name,
			spec: fmt.Sprintf("blockDeviceMappings: [%s]", tt.device),
			want: []string{"spec.blockDeviceMappings", tt.want},
		})
	}
	const first = `{networkCardIndex: 0, deviceIndex: 0, interfaceType: interface}`
	for _, tt := range []struct{ name, interfaces, more, want string }{
		{"with EFAs", first + `, {networkCardIndex: 0, deviceIndex: 1, interfaceType: efa-only}, {networkCardIndex: 1, deviceIndex: 0, interfaceType: efa-only}`, "", ""},
		{"one, public", first, ", associatePublicIPAddress: true", ""},
		{"without the first", `{networkCardIndex: 0, deviceIndex: 1, interfaceType: interface}`, "", "card 0, device 0"},
		{"EFA first", `{networkCardIndex: 0, deviceIndex: 0, interfaceType: efa-only}`, "", "card 0, device 0"},
		{"same place", first + ", " + first, "", "the same card and device"},
		{"two EFAs a card", first + `, {networkCardIndex: 0, deviceIndex: 1, interfaceType: efa-only}, {networkCardIndex: 0, deviceIndex: 2, interfaceType: efa-only}`, "", "takes one interface of type efa-only"},
		{"two, public", first + `, {networkCardIndex: 0, deviceIndex: 1, interfaceType: interface}`, ", associatePublicIPAddress: true", "one network interface only"},
		{"with addresses and EFA", `{networkCardIndex: 0, deviceIndex: 0, interfaceType: efa}`, "", "Unsupported value"},
		{"no device", `{networkCardIndex: 0, interfaceType: interface}`, "", "deviceIndex"},
	} {
		c := validationCase{name: "interfaces/" + tt.name, spec: fmt.Sprintf("{networkInterfaces: [%s]%s}", tt.interfaces, tt.more)}
		if tt.want != "" {
			c.want = []string{"spec", tt.want}
		}
		cases = append(cases, c)
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
	return cases
}
