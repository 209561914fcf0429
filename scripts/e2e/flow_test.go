package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	launcherconfig "github.com/slipway-dev/slipway/launcher/config"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
	"github.com/slipway-dev/slipway/scripts/devcluster"
	"github.com/slipway-dev/slipway/scripts/simec2"
	"github.com/slipway-dev/slipway/scripts/stack"
)

// TestWalkthrough: no nodes at all, a burst gets its nodes, each pod binds where its place
// was reserved, and what is empty goes after its TTL.
func TestWalkthrough(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	if n := len(w.nodes()); n != 0 {
		t.Fatalf("the cluster starts with %d nodes", n)
	}
	const ttl = 3 * time.Second
	w.poolReady(pool("t3", ttl, "t3.medium"))
	inflate := deployment("inflate", 5, "1")
	w.create(inflate)
	pods := w.bound("inflate", 5)
	w.onReserved(pods)
	if n := len(w.running()); n != 5 {
		t.Errorf("%d instances for 5 pods of which one fits a node", n)
	}
	w.event("Pod", pods[0].Name, "Reserved", "t3.medium")
	w.delete(inflate)
	w.event("Node", "", "EmptyTTLStarted", "")
	w.event("Node", "", "Terminating", "")
	w.clean()
}

// TestFittingPodLaunchesNothing: promise 1.
func TestFittingPodLaunchesNothing(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("m5", never, "m5.xlarge"))
	w.create(deployment("first", 1, "1"))
	w.bound("first", 1)
	calls := w.launches()
	w.create(deployment("second", 2, "500m"))
	w.bound("second", 2)
	if n := w.launches(); n != calls {
		t.Errorf("pods that fit an existing node caused %d launches", n-calls)
	}
}

// TestReservedCapacity: of three nodes two are reserved already, and only the third is bought.
func TestReservedCapacity(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Sim.Reservations = []simec2.CapacityReservation{{ID: "cr-e2e", InstanceType: "m5.large", Zone: "us-east-1b", Instances: 2}}
	})
	w.create(&v1alpha1.EC2NodeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "reserving"},
		Spec:       v1alpha1.EC2NodeClassSpec{CapacityReservationSelectorTerms: []v1alpha1.CapacityReservationSelectorTerm{{ID: "cr-e2e"}}},
	})
	p := pool("reserved", never, "m5.large")
	p.Spec.Template.Spec.NodeClassRef = &v1alpha1.NodeClassReference{Group: v1alpha1.Group, Kind: "EC2NodeClass", Name: "reserving"}
	p.Spec.Template.Spec.Requirements = append(p.Spec.Template.Spec.Requirements, v1alpha1.Requirement{
		Key: v1alpha1.LabelCapacityType, Operator: v1alpha1.OpIn, Values: []string{v1alpha1.CapacityTypeReserved, v1alpha1.CapacityTypeOnDemand},
	})
	w.poolReady(p)
	w.create(deployment("two", 2, "1"))
	w.onReserved(w.bound("two", 2))
	for _, n := range w.nodes() {
		if n.Labels[v1alpha1.LabelCapacityType] != "reserved" || n.Labels[v1alpha1.LabelReservationID] != "cr-e2e" {
			t.Errorf("node %s is %v", n.Name, n.Labels)
		}
	}
	w.create(deployment("third", 1, "1"))
	w.onReserved(w.bound("third", 1))
	kinds := map[string]int{}
	for _, c := range w.claims() {
		kinds[c.Status.CapacityType+" "+c.Status.ReservationID]++
	}
	if diff := cmp.Diff(map[string]int{"reserved cr-e2e": 2, "on-demand ": 1}, kinds); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
}

// TestKarpenterLabels: pods that select by Karpenter's labels get nodes that have them, where
// the launcher is configured so, and hear of it where nothing that may be bought does.
func TestKarpenterLabels(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Launcher = func(l *launcherconfig.Config) { l.KarpenterLabels = true }
	})
	w.poolReady(pool("web", never, "m5.large", "c5.large"))
	selecting := func(labels map[string]string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.NodeSelector = labels }
	}
	wanted := map[string]string{
		"karpenter.sh/nodepool": "web", "karpenter.sh/capacity-type": "on-demand", "karpenter.k8s.aws/instance-family": "m5",
	}
	w.create(deployment("fits", 2, "1200m", selecting(wanted)))
	w.onReserved(w.bound("fits", 2))
	for _, n := range w.nodes() {
		for key, value := range wanted {
			if n.Labels[key] != value {
				t.Errorf("node %s has %s=%q, want %q", n.Name, key, n.Labels[key], value)
			}
		}
	}
	w.create(deployment("none", 1, "1", selecting(map[string]string{"karpenter.sh/capacity-type": "spot"})))
	w.event("Pod", "", "Unlaunchable", "node affinity/selector")
	if n := w.launches(); n != 2 {
		t.Errorf("%d instances were bought, want 2", n)
	}
}

// TestOverlappingBursts: pods that come while others wait for their nodes get places of
// their own, and none gets two.
func TestOverlappingBursts(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 3 * time.Second })
	w.poolReady(pool("t3", never, "t3.medium"))
	w.create(deployment("one", 5, "1"))
	w.eventually("the first burst is launched", func() error {
		if n := w.launches(); n == 0 {
			return fmt.Errorf("no instance yet")
		}
		return nil
	})
	w.create(deployment("two", 5, "1"))
	w.onReserved(w.bound("one", 5))
	w.onReserved(w.bound("two", 5))
	if n := w.launches(); n != 10 {
		t.Errorf("%d instances were launched for 10 pods of which one fits a node", n)
	}
}

// TestRoomToSpare: pods that come while a node is on its way get what it has left before
// anything is bought, and hold it as surely as those the node was bought for.
func TestRoomToSpare(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 4 * time.Second })
	w.poolReady(pool("m5", never, "m5.xlarge"))
	w.create(deployment("first", 1, "1"))
	w.moment("the first pod's node is launched", "m5", func(s scene) bool { return every(1, s.claims, bought) })
	w.create(deployment("second", 2, "1"))
	w.onReserved(w.bound("first", 1))
	w.onReserved(w.bound("second", 2))
	if n := w.launches(); n != 1 {
		t.Errorf("%d launches for 3 pods that fit one node", n)
	}
}

// TestPodDeletedWhileReserved: its node comes, stays empty and goes; other pods are untouched.
func TestPodDeletedWhileReserved(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) { c.Sim.BootDelay = 2 * time.Second })
	w.poolReady(pool("t3", 2*time.Second, "t3.medium"))
	doomed, kept := pod("doomed", "1"), pod("kept", "1")
	w.create(doomed, kept)
	w.eventually("both are launched for", func() error {
		if n := w.launches(); n < 2 {
			return fmt.Errorf("%d instances launched", n)
		}
		return nil
	})
	w.delete(doomed)
	w.onReserved(w.bound("kept", 1))
	w.eventually("the node nobody needs is gone", func() error {
		if i, n := len(w.running()), len(w.nodes()); i != 1 || n != 1 {
			return fmt.Errorf("%d instances run, %d nodes", i, n)
		}
		return nil
	})
	w.always(time.Second, "the other pod's node stays", func() error {
		if p := w.pods("kept"); len(p) != 1 || p[0].Spec.NodeName == "" || len(w.nodes()) != 1 {
			return fmt.Errorf("%d pods, %d nodes", len(p), len(w.nodes()))
		}
		return nil
	})
}

// TestNodeSmallerThanPredicted: pods that do not fit the real node get another place, and
// what was learned makes the next prediction right.
func TestNodeSmallerThanPredicted(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	if err := w.Sim.ShrinkMemory("m5.large", 40); err != nil {
		t.Fatal(err)
	}
	w.poolReady(pool("m5", never, "m5.large", "m5.xlarge"))
	// Six GiB fit an m5.large as it is described, not as it is.
	hungry := func(s *corev1.PodSpec) {
		s.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse("6Gi")
	}
	w.create(deployment("hungry", 1, "500m", hungry))
	first := w.bound("hungry", 1)
	w.onReserved(first)
	var node corev1.Node
	if err := w.Client.Get(w.ctx, client.ObjectKey{Name: first[0].Spec.NodeName}, &node); err != nil {
		t.Fatal(err)
	}
	if got := node.Labels[corev1.LabelInstanceTypeStable]; got != "m5.xlarge" {
		t.Errorf("the pod runs on %s", got)
	}
	large := 0
	for _, in := range w.Sim.Instances() {
		if in.Type.Name == "m5.large" {
			large++
		}
	}
	if large != 1 {
		t.Errorf("%d of the short type were bought, wanted one to learn from", large)
	}
}

// TestNoCapacityInFirstZone: EC2 has none in the first zone and the next one is used at once.
func TestNoCapacityInFirstZone(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *stack.Config) {
		c.Sim.Capacity = []simec2.CapacityRule{
			{InstanceType: "*", Zone: "us-east-1a", CapacityType: "*", Instances: 0},
		}
	})
	w.poolReady(pool("t3", never, "t3.medium"))
	w.create(deployment("web", 3, "1"))
	w.onReserved(w.bound("web", 3))
	for _, in := range w.running() {
		if in.Zone == "us-east-1a" {
			t.Errorf("instance %s is in a zone without capacity", in.ID)
		}
	}
}

// TestUnlaunchable: a pod that nothing can hold is told why, once, and nothing is bought;
// when a NodePool comes that can hold it, it gets its node.
func TestUnlaunchable(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	lonely := pod("lonely", "1")
	w.create(lonely)
	w.event("Pod", "lonely", "Unlaunchable", "there is no NodePool")
	w.poolReady(pool("small", never, "t3.medium"))
	w.bound("lonely", 1)

	calls := w.launches()
	w.create(pod("huge", "30"))
	w.event("Pod", "huge", "Unlaunchable", "nodepool small: needs 30 cpu, the largest allowed type t3.medium gives")
	w.always(2*time.Second, "nothing is launched for it", func() error {
		if n := w.launches(); n != calls {
			return fmt.Errorf("%d instances launched", n-calls)
		}
		return nil
	})
	w.poolReady(pool("large", never, "m5.12xlarge"))
	w.onReserved(w.bound("huge", 1))
}

// TestDaemonSetsRoom: the room of DaemonSets is kept on a node that does not exist yet.
func TestDaemonSetsRoom(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	agent := podSpec("800m")
	agent.SchedulerName = stack.SchedulerName
	labels := map[string]string{"app": "agent"}
	w.create(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: agent},
		},
	})
	w.poolReady(pool("m5", never, "m5.large", "m5.xlarge"))
	// 1.5 CPU fit an m5.large (1.93) alone, but not beside the DaemonSet's 0.8.
	w.create(deployment("web", 1, "1500m"))
	w.onReserved(w.bound("web", 1))
	w.eventually("the DaemonSet runs", func() error {
		if p := w.pods("agent"); len(p) != 1 || p[0].Spec.NodeName == "" {
			return fmt.Errorf("%d pods", len(p))
		}
		return nil
	})
	if types := w.running(); len(types) != 1 || types[0].Type.Name != "m5.xlarge" {
		t.Errorf("instances: %v", types)
	}
}

// TestBusyNodeStays: the TTL does not touch a node with a pod, and starts over for one
// that turns busy while it runs.
func TestBusyNodeStays(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	const ttl = 4 * time.Second
	w.poolReady(pool("m5", ttl, "m5.large"))
	w.create(deployment("stays", 1, "1500m"))
	busy := w.bound("stays", 1)[0].Spec.NodeName
	short := deployment("short", 1, "1500m")
	w.create(short)
	other := w.bound("short", 1)[0].Spec.NodeName
	w.delete(short)
	w.event("Node", other, "EmptyTTLStarted", "")
	time.Sleep(ttl / 2) // half of its time is over when a pod lands
	w.create(deployment("late", 1, "1500m"))
	if got := w.bound("late", 1)[0].Spec.NodeName; got != other {
		t.Fatalf("the late pod went to %s, not to the empty node %s", got, other)
	}
	w.always(ttl+2*time.Second, "both nodes stay", func() error {
		for _, n := range w.nodes() {
			if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.DisruptedTaintKey }) {
				return fmt.Errorf("node %s is cordoned", n.Name)
			}
		}
		if len(w.nodes()) != 2 {
			return fmt.Errorf("%d nodes (%s and %s wanted)", len(w.nodes()), busy, other)
		}
		return nil
	})
}

// TestLimits: a NodePool's limit holds under a burst, and the pods say so.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	p := pool("limited", never, "t3.medium")
	p.Spec.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
	w.poolReady(p)
	w.create(deployment("web", 6, "1"))
	w.eventually("two pods run", func() error {
		n := 0
		for _, p := range w.pods("web") {
			if p.Spec.NodeName != "" {
				n++
			}
		}
		if n != 2 {
			return fmt.Errorf("%d bound", n)
		}
		return nil
	})
	w.event("Pod", "", "Unlaunchable", "limit of 4 cpu")
	w.always(2*time.Second, "the limit holds", func() error {
		if n := w.launches(); n != 2 {
			return fmt.Errorf("%d instances of 2 CPUs each were launched", n)
		}
		return nil
	})
}

// TestClientCertificateRequired: promise 11.
func TestClientCertificateRequired(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	stranger, err := devcluster.WriteCerts(t.TempDir(), "stranger", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(w.Certs.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair := func(c devcluster.KeyPairFiles) []tls.Certificate {
		cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{cert}
	}
	reserve := func(certs []tls.Certificate) error {
		conn, err := grpc.NewClient(w.GRPCAddress, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: roots, Certificates: certs, MinVersion: tls.VersionTLS13,
		})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // a test's connection
		_, err = slipwayv1.NewLauncherServiceClient(conn).ReservePods(t.Context(), &slipwayv1.ReservePodsRequest{})
		return err
	}
	// With the right certificate, so that what is refused below is not for want of a leader.
	w.eventually("the scheduler is served", func() error { return reserve(pair(w.Certs.Client)) })
	for name, certs := range map[string][]tls.Certificate{"none": nil, "of another authority": pair(stranger.Client)} {
		t.Run(name, func(t *testing.T) {
			if err := reserve(certs); status.Code(err) != codes.Unavailable {
				t.Errorf("ReservePods: %v, want code %s", err, codes.Unavailable)
			}
		})
	}
}

// TestZoneSpread: pods spread over zones that had no node before.
func TestZoneSpread(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("t3", never, "t3.medium"))
	w.create(deployment("spread", 6, "1", func(s *corev1.PodSpec) {
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "spread"}},
		}}
	}))
	w.onReserved(w.bound("spread", 6))
	zones := map[string]int{}
	for _, in := range w.running() {
		zones[in.Zone]++
	}
	if len(zones) != 3 || zones["us-east-1a"] != 2 || zones["us-east-1b"] != 2 {
		t.Errorf("instances by zone: %v", zones)
	}
}

// TestSpreadOnSharedNodes: pods that spread over zones and share their nodes all bind,
// although each is nominated to a node together with others of its kind.
func TestSpreadOnSharedNodes(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("m5", never, "m5.2xlarge"))
	w.create(deployment("spread", 15, "1", func(s *corev1.PodSpec) {
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "spread"}},
		}}
	}))
	w.onReserved(w.bound("spread", 15))
	if n := len(w.running()); n != 3 {
		t.Errorf("%d instances, want one in each of three zones", n)
	}
}

// TestStory: the walkthrough's story can be read off the launcher's log at its default level.
func TestStory(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.poolReady(pool("t3", time.Second, "t3.medium"))
	d := deployment("web", 2, "1")
	w.create(d)
	w.bound("web", 2)
	w.delete(d)
	w.clean()
	raw, err := os.ReadFile(w.Launcher.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	rest := string(raw)
	for _, step := range []string{`"batch closed"`, `"planned"`, `"nodeclaim written"`, `"registered"`, `"initialized"`, `"node is empty"`, `"removing node"`, `"terminating"`, `"terminated"`} {
		i := strings.Index(rest, step)
		if i < 0 {
			t.Errorf("the log does not tell of %s after the step before it:\n%s", step, raw)
			break
		}
		rest = rest[i:]
	}
}
