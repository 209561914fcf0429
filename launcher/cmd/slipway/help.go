package main

import (
	"os"
	"strconv"
)

const planHelp = `Plan shows which nodes would be launched for pods: their types, zones and prices, which pods go
where, the least that any plan could cost, and which pods find no place and why.

It plans with the launcher's own code: the scheduler's Filter plugins decide what fits.

Input. Manifests in YAML or JSON: Pods, Deployments, StatefulSets, ReplicaSets, Jobs, CronJobs (one Job
each), DaemonSets (their pods take room on every node), PersistentVolumeClaims, PersistentVolumes,
StorageClasses, PriorityClasses, Namespaces, NodePools, EC2NodeClasses, and Nodes that exist, whose room
is used first; with --cluster, that of nodes on their way (NodeClaims) as well. Lists may hold any of them. Other kinds are counted on standard error and ignored. What
the API server would refuse is refused here, with file and line.

What may be bought. NodePools of the input decide. Without any, all current instance types of the
categories c, m and r from the third generation on may be bought, amd64 and arm64, on-demand, and spot
where its prices are known; types with GPUs are bought for pods that ask for nvidia.com/gpu only, and
burstable types not at all.

Prices. By default a built-in table of on-demand prices in us-east-1 (zones a to c); --catalog reads
another from a CSV file; --live asks AWS for types and prices, spot prices among them. The CSV's header:
type,arch,vcpu,memory_mib,enis,ipv4_per_eni,gpus,gpu,local_gb,hypervisor,burstable,current,usage,on_demand_usd_per_hour

Output. A table for people, or JSON and YAML for programs: pods, placed, unplaced (pod, reasons),
existing (name, pods), nodes (nodePool, instanceType, zone, capacityType, pricePerHour, allocatable,
requested, pods), pricePerHour, lowerBoundPerHour, elapsedMs (read, fit, pack, verify). A JSON Schema is in
launcher/cmd/slipway/report/schema.json. Equal input gives an equal plan.

Exit code: 0 when there is a plan, also where it does not place every pod; 2 when flags or files are wrong;
1 when something else fails.`

// defaultWidth is that of the table's lines where the shell does not tell the terminal's.
const defaultWidth = 132

func terminalWidth() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return defaultWidth
}
