package simkubelet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/offering"
	"github.com/slipway-dev/slipway/scripts/simec2"
)

// TestAgreesWithPrediction launches instances of classes with kubelet settings, and compares
// the Nodes that come of their user data with what the launcher predicted for them: to the
// byte, once the machine is given the memory that was predicted, which EC2 does not tell.
func TestAgreesWithPrediction(t *testing.T) {
	readLag := time.Duration(0)
	sim, err := simec2.New(simec2.Config{ClusterName: "test", Unthrottled: true, ReadLag: &readLag})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	provider, err := ec2.New(ec2.Config{
		AWS: aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String(sim.URL()),
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret"}, nil
			}),
		},
		Cluster: ec2.Cluster{
			Name: "test", Endpoint: "https://127.0.0.1:6443", CABundle: []byte("test CA\n"),
			ServiceCIDR: "10.96.0.0/16", KubeVersion: ec2.FixedVersion("1.36"),
		},
		Clock: clock.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
	templates := map[string]string{} // by id: whose settings they carry
	for _, tt := range []struct {
		name, kubelet, class string // YAML
	}{
		{"no settings", ``, ``},
		{"empty settings", `{}`, ``},
		{"maxPods", `{maxPods: 5}`, ``},
		{"podsPerCore", `{podsPerCore: 4}`, ``},
		{"maxPods and podsPerCore", `{maxPods: 110, podsPerCore: 20}`, ``},
		{"kubeReserved in part", `{kubeReserved: {memory: 1Gi}}`, ``},
		{"everything reserved by hand", `{kubeReserved: {cpu: 300m, memory: 1.5Gi, ephemeral-storage: 3G, pid: "100"}, systemReserved: {cpu: "0.1", memory: 123456k, ephemeral-storage: 1Gi}}`, ``},
		{"thresholds by amount", `{evictionHard: {memory.available: 300Mi, nodefs.available: 3Gi, imagefs.available: 5Gi}}`, ``},
		{"thresholds by share", `{evictionHard: {memory.available: 5%, nodefs.available: 12.5%, nodefs.inodesFree: 3%}}`, ``},
		{"thresholds off", `{evictionHard: {memory.available: 0%, nodefs.available: 100%}}`, ``},
		{"soft thresholds", `{evictionSoft: {memory.available: 1Gi}, evictionSoftGracePeriod: {memory.available: 1m}, evictionMaxPodGracePeriod: 30}`, ``},
		{"what is not arithmetic", `{clusterDNS: [10.96.0.53], cpuCFSQuota: false, imageGCHighThresholdPercent: 70, imageGCLowThresholdPercent: 60}`, ``},
		{"all at once", `{maxPods: 30, podsPerCore: 10, kubeReserved: {cpu: 200m}, systemReserved: {memory: 200Mi}, evictionHard: {memory.available: 7.5%}}`, ``},
		{"local disks as an array", `{}`, `instanceStorePolicy: RAID0`},
		{"prefixes", `{}`, `ipPrefixCount: 1`},
		{"prefixes and maxPods", `{maxPods: 7}`, `ipPrefixCount: 1`},
		{"a larger root", `{}`, `blockDeviceMappings: [{deviceName: /dev/xvda, ebs: {volumeSize: 70Gi}}]`},
		{"Bottlerocket", `{}`, `amiSelectorTerms: [{alias: bottlerocket@latest}]`},
		{"Bottlerocket with local disks", `{}`, `{amiSelectorTerms: [{alias: bottlerocket@v1.49.0}], instanceStorePolicy: RAID0}`},
		{"Bottlerocket with a disk for data", `{}`,
			`{amiSelectorTerms: [{alias: bottlerocket@latest}], blockDeviceMappings: [{deviceName: /dev/xvdb, ebs: {volumeSize: 70Gi}}]}`},
		{"Bottlerocket with everything",
			`{maxPods: 30, kubeReserved: {cpu: 200m}, systemReserved: {memory: 200Mi}, evictionHard: {memory.available: 7.5%}, clusterDNS: [10.96.0.53], cpuCFSQuota: false, imageGCHighThresholdPercent: 70, imageGCLowThresholdPercent: 60, evictionSoft: {memory.available: 1Gi}, evictionSoftGracePeriod: {memory.available: 1m}, evictionMaxPodGracePeriod: 30}`,
			`amiSelectorTerms: [{alias: bottlerocket@latest}]`},
	} {
		for _, typeName := range []string{"t3.medium", "m5.large", "m5.4xlarge", "m6g.large", "m5d.large", "g5.xlarge"} {
			t.Run(tt.name+"/"+typeName, func(t *testing.T) {
				class := &v1alpha1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "class"}}
				if err := yaml.UnmarshalStrict([]byte(tt.class), &class.Spec); err != nil {
					t.Fatal(err)
				}
				if err := yaml.UnmarshalStrict([]byte(tt.kubelet), &class.Spec.Kubelet); err != nil {
					t.Fatal(err)
				}
				predicted := typeOf(t, provider, class, typeName)
				machine := launch(t, sim, provider, class, predicted)
				machine.MemoryMiB = predicted.Capacity.Memory().Value() / mib

				parse := parseUserData
				if machine.OS == simec2.OSBottlerocket {
					parse = parseSettings
				}
				cfg, err := parse(machine.UserData)
				if err != nil {
					t.Fatal(err)
				}
				node, err := newNode(machine, cfg, "v1.36.3", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if err := AccessEC2.mayRegister(machine, node.Name); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(bytesOf(predicted.Capacity), bytesOf(node.Status.Capacity)); diff != "" {
					t.Errorf("capacity (-predicted +node):\n%s", diff)
				}
				if diff := cmp.Diff(bytesOf(predicted.Allocatable), bytesOf(node.Status.Allocatable)); diff != "" {
					t.Errorf("allocatable (-predicted +node):\n%s", diff)
				}
				if other, seen := templates[machine.LaunchTemplateID]; seen && other != tt.name {
					t.Errorf("launch template %s was made for other settings: %s", machine.LaunchTemplateID, other)
				}
				templates[machine.LaunchTemplateID] = tt.name
			})
		}
	}
}

func typeOf(t *testing.T, provider *ec2.Provider, class *v1alpha1.EC2NodeClass, name string) offering.Type {
	t.Helper()
	all, err := provider.Types(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range all {
		if typ.Name == name {
			return typ
		}
	}
	t.Fatalf("there is no %s among %d types", name, len(all))
	return offering.Type{}
}

// launch buys an instance of the type as the launcher does and returns the machine.
func launch(t *testing.T, sim *simec2.Server, provider *ec2.Provider, class *v1alpha1.EC2NodeClass, typ offering.Type) simec2.Instance {
	t.Helper()
	claim := &v1alpha1.NodeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: "claim", CreationTimestamp: metav1.Now(),
		UID: types.UID(fmt.Sprintf("%x", sha256.Sum224([]byte(t.Name())))), // the client token, which is short
	}}
	claim.Spec.NodePool = "pool"
	claim.Spec.Offerings = v1alpha1.GroupOfferings(v1alpha1.AcceptedOffering{
		InstanceType: typ.Name, Zone: typ.Offerings[0].Zone, CapacityType: v1alpha1.CapacityTypeOnDemand, Price: resource.MustParse("1"),
	})
	bought, err := provider.Launch(t.Context(), claim, class)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range sim.Instances() {
		if in.ID == bought.ID {
			return in
		}
	}
	t.Fatalf("instance %s does not exist", bought.ID)
	return simec2.Instance{}
}

// bytesOf is the list in the units of its resources, CPU in thousandths, without the huge
// pages that nobody predicts.
func bytesOf(list corev1.ResourceList) map[corev1.ResourceName]int64 {
	out := map[corev1.ResourceName]int64{}
	for name, q := range list {
		switch {
		case name == corev1.ResourceCPU:
			out[name] = q.MilliValue()
		case !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			out[name] = q.Value()
		}
	}
	return out
}
