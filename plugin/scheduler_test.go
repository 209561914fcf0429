package plugin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/profile"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin"
	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// cluster is a real scheduler with the plugin, between a fake API server and a launcher
// that only says what the test tells it to.
type cluster struct {
	t        *testing.T
	ctx      context.Context
	client   *fake.Clientset
	sched    *scheduler.Scheduler
	launcher *launchertest.Launcher
	builder  plugin.Builder
	// others are further profiles, by name, with what sets their arguments apart.
	others map[string]func(*config.SlipwayArgs)
	// wrap, if set, stands between the watches of pods and nodes and those who watch; it is
	// told what there is when a watch begins.
	wrap  func(source watch.Interface, present []runtime.Object) watch.Interface
	looks looks
}

// startCluster starts one; change, if given, is called before anything runs.
func startCluster(t *testing.T, change ...func(*cluster, *config.SlipwayArgs)) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	authority := launchertest.NewAuthority(t)
	c := &cluster{t: t, ctx: ctx, client: fake.NewClientset(), launcher: launchertest.New(t, authority)}
	c.client.PrependReactor("create", "pods", c.bind)
	files := authority.WriteFiles(t.TempDir())
	args := &config.SlipwayArgs{
		LauncherAddress: c.launcher.Address(),
		TLS:             config.TLS{CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA},
	}
	for _, f := range change {
		f(c, args)
	}
	profiles := plugin.ShippedProfiles(t, args)
	for name, change := range c.others {
		other := *args
		change(&other)
		more := plugin.ShippedProfiles(t, &other)
		more[0].SchedulerName = name
		profiles = append(profiles, more...)
	}
	c.launcher.Start()

	informers := scheduler.NewInformerFactory(c.client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: c.client.EventsV1()})
	broadcaster.StartRecordingToSink(ctx.Done())
	sched, err := scheduler.New(ctx, c.client, informers, nil, profile.NewRecorderFactory(broadcaster),
		scheduler.WithProfiles(profiles...),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{plugin.Name: c.builder.New}))
	if err != nil {
		t.Fatal(err)
	}
	c.sched = sched
	if err := c.builder.Attach(sched); err != nil {
		t.Fatal(err)
	}
	watched := c.watched()
	c.looks.count(sched)
	informers.Start(ctx.Done())
	informers.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		t.Fatal(err)
	}
	for _, begun := range watched {
		<-begun
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sched.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		informers.Shutdown()
		broadcaster.Shutdown()
	})
	return c
}

// watched returns channels that close when watches of pods and nodes begin: client-go's API
// server for tests does not tell a watch what came between it and the list before it.
func (c *cluster) watched() []chan struct{} {
	var all []chan struct{}
	for _, kind := range []schema.GroupVersionKind{v1.SchemeGroupVersion.WithKind("Pod"), v1.SchemeGroupVersion.WithKind("Node")} {
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		c.client.PrependWatchReactor(resource.Resource, func(action clienttesting.Action) (bool, watch.Interface, error) {
			source, err := c.client.Tracker().Watch(resource, action.GetNamespace(), action.(clienttesting.WatchActionImpl).ListOptions)
			begin()
			if err != nil || c.wrap == nil {
				return true, source, err
			}
			list, err := c.client.Tracker().List(resource, kind, action.GetNamespace())
			if err != nil {
				return true, nil, err
			}
			present, err := meta.ExtractList(list)
			return true, c.wrap(source, present), err
		})
		all = append(all, begun)
	}
	return all
}

// bind does what the API server does with a binding.
func (c *cluster) bind(action clienttesting.Action) (bool, runtime.Object, error) {
	if action.GetSubresource() != "binding" {
		return false, nil, nil
	}
	binding := action.(clienttesting.CreateAction).GetObject().(*v1.Binding)
	pods := v1.SchemeGroupVersion.WithResource("pods")
	obj, err := c.client.Tracker().Get(pods, binding.Namespace, binding.Name)
	if err != nil {
		return true, nil, err
	}
	pod := obj.(*v1.Pod).DeepCopy()
	pod.Spec.NodeName = binding.Target.Name
	return true, binding, c.client.Tracker().Update(pods, pod, binding.Namespace)
}

func (c *cluster) create(name, cpu string) {
	c.t.Helper()
	c.createAs(plugin.SchedulerName, name, cpu, 0)
}

func (c *cluster) createAs(scheduler, name, cpu string, priority int32) {
	c.t.Helper()
	pod := st.MakePod().Namespace("ns").Name(name).UID(name).SchedulerName(scheduler).Priority(priority).
		Req(map[v1.ResourceName]string{v1.ResourceCPU: cpu}).Obj()
	if _, err := c.client.CoreV1().Pods("ns").Create(c.ctx, pod, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// join adds a node and waits until the scheduler has seen it: news of pods created
// later may otherwise come first.
func (c *cluster) join(name, cpu string) {
	c.t.Helper()
	before := c.sched.Cache.NodeCount()
	c.addNode(name, cpu)
	err := wait.PollUntilContextCancel(c.ctx, 5*time.Millisecond, true, func(context.Context) (bool, error) {
		return c.sched.Cache.NodeCount() > before, nil
	})
	if err != nil {
		c.t.Fatalf("waiting for the scheduler to see node %s: %v", name, err)
	}
}

func (c *cluster) addNode(name, cpu string) {
	c.t.Helper()
	node := st.MakeNode().Name(name).Capacity(map[v1.ResourceName]string{v1.ResourceCPU: cpu, v1.ResourcePods: "110"}).
		Condition(v1.NodeReady, v1.ConditionTrue, "", "").Obj()
	if _, err := c.client.CoreV1().Nodes().Create(c.ctx, node, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// waitForPod waits until a pod is as cond wants it.
func (c *cluster) waitForPod(name, what string, cond func(*v1.Pod) bool) {
	c.t.Helper()
	var last *v1.Pod
	err := wait.PollUntilContextCancel(c.ctx, 5*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = c.client.CoreV1().Pods("ns").Get(ctx, name, metav1.GetOptions{})
		return err == nil && cond(last), err
	})
	if err != nil {
		c.t.Fatalf("waiting for pod %s %s: %v; it is %+v", name, what, err, last)
	}
}

func (c *cluster) waitForLauncher(pods int) {
	c.t.Helper()
	c.launcher.WaitFor(c.ctx, fmt.Sprintf("%d pods at the launcher", pods), func() bool {
		got, _ := c.launcher.Pods()
		return len(got) >= pods
	})
}

func (c *cluster) publish(pod string, phase slipwayv1.Reservation_Phase, claim, node string) {
	c.launcher.Publish(&slipwayv1.Reservation{
		PodUid: pod, PodNamespace: "ns", PodName: pod, Phase: phase, Claim: claim, NodeName: node,
		InstanceType: "t3.medium", Zone: "us-east-1a", CapacityType: "on-demand", Price: 0.0416,
	})
}

func nominated(node string) func(*v1.Pod) bool {
	return func(p *v1.Pod) bool { return p.Status.NominatedNodeName == node }
}

func bound(node string) func(*v1.Pod) bool {
	return func(p *v1.Pod) bool { return p.Spec.NodeName == node }
}

// TestEmptyCluster: a cluster without nodes gets its first one, and the pods it is
// launched for run there although another pod came first.
func TestEmptyCluster(t *testing.T) {
	c := startCluster(t)
	c.create("a", "2")
	c.create("b", "1")
	c.waitForLauncher(2)
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.publish("b", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.waitForPod("a", "nominated", nominated("n1"))
	c.waitForPod("b", "nominated", nominated("n1"))
	c.create("thief", "2")
	c.waitForLauncher(3)
	c.join("n1", "4")
	c.waitForPod("a", "bound", bound("n1"))
	c.waitForPod("b", "bound", bound("n1"))
	c.waitForPod("thief", "left out", bound(""))
	// What fits an existing node is never handed over.
	c.create("small", "1")
	c.waitForPod("small", "bound", bound("n1"))
	if pods, _ := c.launcher.Pods(); len(pods) != 3 {
		t.Errorf("%d pods were handed over, want 3", len(pods))
	}
	if releases := c.launcher.Releases(); len(releases) != 0 {
		t.Errorf("releases: %v", releases)
	}
}

// TestShortNode: pods for which a node turns out to be too small get another one.
func TestShortNode(t *testing.T) {
	c := startCluster(t)
	c.create("a", "2")
	c.waitForLauncher(1)
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.waitForPod("a", "nominated", nominated("n1"))
	c.join("n1", "1")
	c.waitForLauncher(2)
	c.waitForPod("a", "no longer nominated", nominated(""))
	releases := c.launcher.Releases()
	if len(releases) != 1 || releases[0].GetClaim() != "claim-1" {
		t.Errorf("releases: %v", releases)
	}
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-2", "n2")
	c.waitForPod("a", "nominated", nominated("n2"))
	c.join("n2", "2")
	c.waitForPod("a", "bound", bound("n2"))
}

// TestUnlaunchable: a pod that no node can be launched for may preempt others.
func TestUnlaunchable(t *testing.T) {
	c := startCluster(t)
	c.join("n1", "2")
	c.create("low", "2")
	c.waitForPod("low", "bound", bound("n1"))
	c.createAs(plugin.SchedulerName, "high", "2", 10)
	c.waitForLauncher(1)
	if _, err := c.client.CoreV1().Pods("ns").Get(c.ctx, "low", metav1.GetOptions{}); err != nil {
		t.Errorf("a pod was preempted although a node may be launched: %v", err)
	}
	c.publish("high", slipwayv1.Reservation_PHASE_UNLAUNCHABLE, "", "")
	c.waitForPod("high", "bound", bound("n1"))
}
