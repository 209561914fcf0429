package plugin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// looks counts how often the scheduler has looked at a pod.
type looks struct {
	mu    sync.Mutex
	byPod map[string]int
}

func (l *looks) count(sched *scheduler.Scheduler) {
	l.byPod = map[string]int{}
	next := sched.SchedulePod
	sched.SchedulePod = func(ctx context.Context, f framework.Framework, state fwk.CycleState, info *framework.QueuedPodInfo) (scheduler.ScheduleResult, error) {
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.byPod[info.Pod.Name]++
		}()
		return next(ctx, f, state, info)
	}
}

func (l *looks) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, looks := range l.byPod {
		n += looks
	}
	return n
}

// fill has a pod run on node n0.
func (c *cluster) fill(pod, cpu string) {
	c.t.Helper()
	c.create(pod, cpu)
	c.waitForPod(pod, "bound", bound("n0"))
}

// holders creates pods for which node n1 is being launched.
func (c *cluster) holders(n int, cpu string) (names []string) {
	c.t.Helper()
	before, _ := c.launcher.Pods()
	for i := range n {
		names = append(names, fmt.Sprint("p", i))
		c.create(names[i], cpu)
	}
	c.waitForLauncher(len(before) + n)
	for _, name := range names {
		c.publish(name, slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	}
	for _, name := range names {
		c.waitForPod(name, "nominated", nominated("n1"))
	}
	c.waitForEvents("Reserved", n)
	return names
}

func (c *cluster) end(pod string) {
	c.t.Helper()
	if err := c.client.CoreV1().Pods("ns").Delete(c.ctx, pod, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) pod(name string) *v1.Pod {
	c.t.Helper()
	p, err := c.client.CoreV1().Pods("ns").Get(c.ctx, name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// TestFreedRoom: where a pod ends, pods run that wait for their node, as many as there is
// room for. They give back what they held; the others wait on, and nobody is told of it.
func TestFreedRoom(t *testing.T) {
	c := startCluster(t)
	c.join("n0", "2")
	c.fill("old", "2")
	const pods, room = 50, 2
	names := c.holders(pods, "1")
	writes, looked := c.writes(), c.looks.total()
	_, calls := c.launcher.Pods()

	c.end("old")
	var moved []string
	c.eventually("the room is taken", func() bool {
		moved = nil
		for _, name := range names {
			if c.pod(name).Spec.NodeName == "n0" {
				moved = append(moved, name)
			}
		}
		return len(moved) == room
	})
	c.eventually("what they held is given back", func() bool { return len(c.launcher.Releases()) == room })
	c.eventually("one more is tried", func() bool { return c.looks.total() == looked+room+1 })
	for _, name := range moved {
		writes["bind "+name]++
		writes["event of the binding of "+name]++
	}
	c.waitForEvents("Scheduled", 1+room)
	if diff := cmp.Diff(writes, c.writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if _, again := c.launcher.Pods(); again != calls {
		t.Errorf("%d calls to the launcher more", again-calls)
	}
	c.join("n1", "50")
	for _, name := range names {
		c.waitForPod(name, "bound", func(p *v1.Pod) bool { return p.Spec.NodeName != "" })
	}
	c.eventually("no reservation is left", func() bool { return c.builder.Reservations() == 0 })
	if n := len(c.launcher.Releases()); n != room {
		t.Errorf("%d releases, want %d", n, room)
	}
}

// TestFreedRoomIsTooSmall: a pod that is tried in vain keeps what it holds, says nothing and
// asks for nothing.
func TestFreedRoomIsTooSmall(t *testing.T) {
	c := startCluster(t)
	c.join("n0", "2")
	c.fill("old", "1")
	c.fill("stays", "1")
	c.holders(1, "2")
	writes, looked := c.writes(), c.looks.total()
	_, calls := c.launcher.Pods()
	c.end("old")
	c.eventually("the pod is tried", func() bool { return c.looks.total() == looked+1 })
	// It runs as soon as what is left goes, so it is behind the gate again.
	c.eventually("it waits for its node", func() bool { return c.builder.GateClosed("p0") })
	if diff := cmp.Diff(writes, c.writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if _, again := c.launcher.Pods(); again != calls || len(c.launcher.Releases()) > 0 {
		t.Errorf("%d calls to the launcher more, releases %v", again-calls, c.launcher.Releases())
	}
	if p := c.pod("p0"); p.Status.NominatedNodeName != "n1" {
		t.Errorf("nominated to %q", p.Status.NominatedNodeName)
	}
	c.end("stays")
	c.waitForPod("p0", "bound", bound("n0"))
	c.eventually("what it held is given back", func() bool { return len(c.launcher.Releases()) == 1 })
	c.settled("p0")
}

// TestDisplaced: a pod of higher priority takes room that is promised to another, which is
// handed over again in one step.
func TestDisplaced(t *testing.T) {
	c := startCluster(t)
	boss := st.MakePod().Namespace("ns").Name("boss").UID("boss").SchedulerName(plugin.SchedulerName).Priority(10).
		Req(map[v1.ResourceName]string{v1.ResourceCPU: "2"}).Obj()
	if _, err := c.client.CoreV1().Pods("ns").Create(c.ctx, boss, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitForLauncher(1)
	c.publish("boss", slipwayv1.Reservation_PHASE_UNLAUNCHABLE, "", "")
	c.holders(1, "2")
	// The pod whose node it is waits until the node is ready, the other one does not.
	n1 := st.MakeNode().Name("n1").Capacity(map[v1.ResourceName]string{v1.ResourceCPU: "2", v1.ResourcePods: "110"}).Obj()
	if _, err := c.client.CoreV1().Nodes().Create(c.ctx, n1, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitForPod("boss", "bound", bound("n1"))
	_, calls := c.launcher.Pods()
	c.setReady("n1", v1.ConditionTrue)
	c.eventually("the holder is handed over again", func() bool { _, again := c.launcher.Pods(); return again == calls+1 })
	c.waitForPod("p0", "no longer nominated", nominated(""))
	c.publish("p0", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-2", "n2")
	c.join("n2", "2")
	c.waitForPod("p0", "bound", bound("n2"))
	c.settled("boss", "p0")
	if _, again := c.launcher.Pods(); again != calls+1 {
		t.Errorf("%d calls to the launcher, want one", again-calls)
	}
}

// TestGroupStaysTogether: room that becomes free is not for the members of a group, whose
// places are reserved together.
func TestGroupStaysTogether(t *testing.T) {
	c := startCluster(t)
	c.join("n0", "2")
	c.fill("old", "2")
	member := st.MakePod().Namespace("ns").Name("member").UID("member").SchedulerName(plugin.SchedulerName).Label("slipway.dev/pod-group", "g").
		Req(map[v1.ResourceName]string{v1.ResourceCPU: "2"}).Obj()
	if _, err := c.client.CoreV1().Pods("ns").Create(c.ctx, member, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitForLauncher(1)
	c.publish("member", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.waitForPod("member", "nominated", nominated("n1"))
	c.holders(1, "2")
	c.end("old")
	c.waitForPod("p0", "bound", bound("n0"))
	c.join("n1", "2")
	c.waitForPod("member", "bound", bound("n1"))
}
