package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// settled waits until the scheduler holds no reservation, and checks that of the pods at
// the launcher only some were given back.
func (c *cluster) settled(releases ...string) {
	c.t.Helper()
	c.eventually("no reservation is left", func() bool { return c.builder.Reservations() == 0 })
	var got []string
	for _, r := range c.launcher.Releases() {
		got = append(got, r.GetPodUid())
	}
	if strings.Join(got, " ") != strings.Join(releases, " ") {
		c.t.Errorf("pods given back are %v, want %v", got, releases)
	}
}

func (c *cluster) eventually(what string, cond func() bool) {
	c.t.Helper()
	err := wait.PollUntilContextCancel(c.ctx, 5*time.Millisecond, true, func(context.Context) (bool, error) { return cond(), nil })
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// TestLauncherMisbehaves: whatever the launcher does with its answers, what fits is
// scheduled meanwhile, and a pod that does not has one reservation, on which it binds.
func TestLauncherMisbehaves(t *testing.T) {
	// Each is the launcher's answer to one call; once they are used up it behaves.
	fail := func(answers ...codes.Code) func(*cluster, *config.SlipwayArgs) {
		return func(c *cluster, _ *config.SlipwayArgs) {
			var calls atomic.Int32
			c.launcher.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
				if i := int(calls.Add(1)) - 1; i < len(answers) {
					return nil, status.Error(answers[i], "as the test wants")
				}
				return nil, nil
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*cluster, *config.SlipwayArgs)
		// calls is how often the pod is handed over, at least.
		calls int
	}{
		{name: "is away for a while", change: fail(codes.Unavailable, codes.Unavailable), calls: 3},
		{name: "has internal errors", change: fail(codes.Internal, codes.Unknown), calls: 3},
		{name: "is overloaded", change: fail(codes.ResourceExhausted, codes.DeadlineExceeded), calls: 3},
		{name: "lets nobody in", change: fail(codes.Unauthenticated, codes.PermissionDenied), calls: 3},
		{
			name: "forgets the pod in its answer", calls: 2,
			change: func(c *cluster, _ *config.SlipwayArgs) {
				var calls atomic.Int32
				c.launcher.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
					if calls.Add(1) == 1 {
						return &slipwayv1.ReservePodsResponse{}, nil
					}
					return nil, nil
				}
			},
		},
		{
			// As with 10 s and the default timeout of 10 s: it takes the pods, and no answer
			// ever comes in time.
			name: "answers each call too late", calls: 2,
			change: func(c *cluster, args *config.SlipwayArgs) {
				args.RequestTimeout = metav1.Duration{Duration: 50 * time.Millisecond}
				c.launcher.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
					<-time.After(150 * time.Millisecond)
					return nil, nil
				}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := startCluster(t, tc.change)
			c.join("n0", "1")
			c.create("a", "2")
			c.waitForLauncher(1)
			c.create("fits", "1")
			c.waitForPod("fits", "bound", bound("n0"))
			c.waitForLauncher(tc.calls)
			c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
			c.waitForPod("a", "nominated", nominated("n1"))
			c.join("n1", "2")
			c.waitForPod("a", "bound", bound("n1"))
			c.settled()
		})
	}
}

// TestLauncherNeverAnswers: a pod is not kept from room that others bring, and the launcher
// learns that it is needed no more as soon as it listens.
func TestLauncherNeverAnswers(t *testing.T) {
	var listens atomic.Bool
	c := startCluster(t, func(c *cluster, args *config.SlipwayArgs) {
		args.TTL.Waiting = metav1.Duration{Duration: 200 * time.Millisecond}
		c.launcher.OnReserve = func([]*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
			if listens.Load() {
				return nil, nil
			}
			return nil, status.Error(codes.Unavailable, "away")
		}
	})
	c.create("a", "2")
	c.create("b", "3")
	c.waitForLauncher(2)
	c.join("somebody-elses", "2")
	c.waitForPod("a", "bound", bound("somebody-elses"))
	listens.Store(true)
	c.create("c", "3")
	c.eventually("the launcher has the others", func() bool { return c.launcher.Has("b") && c.launcher.Has("c") })
	c.publish("b", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.publish("c", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.join("n1", "6")
	c.waitForPod("b", "bound", bound("n1"))
	c.waitForPod("c", "bound", bound("n1"))
	c.settled("a")
}

// TestStreamCutMidMessage: half a snapshot changes nothing, and half an answer is asked for
// again.
func TestStreamCutMidMessage(t *testing.T) {
	var proxy *launchertest.Proxy
	var c *cluster
	long := strings.Repeat("because ", 4<<10)
	c = startCluster(t, func(c *cluster, args *config.SlipwayArgs) {
		proxy = launchertest.NewProxy(t)
		args.LauncherAddress = proxy.Address()
		var calls atomic.Int32
		c.launcher.OnReserve = func(pods []*v1.Pod) (*slipwayv1.ReservePodsResponse, error) {
			if calls.Add(1) > 1 {
				return nil, nil
			}
			// Taken, but the answer is torn; the stream goes with it.
			proxy.CutAfter(len(long) / 2)
			resp := &slipwayv1.ReservePodsResponse{}
			for _, p := range pods {
				c.publish(string(p.UID), slipwayv1.Reservation_PHASE_WAITING, "", "")
				resp.Answers = append(resp.Answers, &slipwayv1.Answer{PodUid: string(p.UID), Code: slipwayv1.Answer_CODE_REFUSED, Reason: long})
			}
			return resp, nil
		}
	})
	proxy.Target(c.launcher.Address())
	c.create("a", "2")
	c.waitForLauncher(2)
	if proxy.Cuts() != 1 {
		t.Fatalf("%d cuts, want 1", proxy.Cuts())
	}
	// Much is reserved by now; the snapshot after the next cut is torn, too.
	for i := range 64 {
		c.launcher.Publish(&slipwayv1.Reservation{
			PodUid: fmt.Sprint("other-", i), PodNamespace: "ns", PodName: fmt.Sprint("other-", i),
			Phase: slipwayv1.Reservation_PHASE_UNLAUNCHABLE, Reason: long,
		})
	}
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.waitForPod("a", "nominated", nominated("n1"))
	proxy.CutAfter(len(long) * 3)
	c.launcher.CutStreams()
	c.eventually("a snapshot was cut", func() bool { return proxy.Cuts() == 2 })
	c.join("n1", "2")
	c.waitForPod("a", "bound", bound("n1"))
	c.eventually("a whole snapshot came", func() bool { return c.builder.Reservations() == 64 })
	for i := range 64 {
		c.publish(fmt.Sprint("other-", i), slipwayv1.Reservation_PHASE_ENDED, "", "")
	}
	c.settled()
}

// TestNodeFlaps: a node that turns unready while its pod is being bound keeps it for when it
// is back.
func TestNodeFlaps(t *testing.T) {
	var fails atomic.Int32
	fails.Store(3)
	c := startCluster(t, func(c *cluster, _ *config.SlipwayArgs) {
		c.client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.GetSubresource() != "binding" || fails.Load() == 0 {
				return false, nil, nil
			}
			c.setReady("n1", v1.ConditionFalse)
			fails.Add(-1) // the last thing: the node is made ready again upon it
			return true, nil, errors.New("the kubelet is away")
		})
	})
	c.create("a", "2")
	c.waitForLauncher(1)
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.waitForPod("a", "nominated", nominated("n1"))
	c.join("n1", "2")
	for left := int32(2); left >= 0; left-- {
		c.eventually("a binding has failed", func() bool { return fails.Load() <= left })
		c.setReady("n1", v1.ConditionTrue)
	}
	c.waitForPod("a", "bound", bound("n1"))
	c.settled()
	if pods, _ := c.launcher.Pods(); len(pods) != 1 {
		t.Errorf("%d pods were handed over, want 1", len(pods))
	}
}

// setReady says whether a node is ready.
func (c *cluster) setReady(name string, ready v1.ConditionStatus) {
	c.t.Helper()
	nodes := v1.SchemeGroupVersion.WithResource("nodes")
	obj, err := c.client.Tracker().Get(nodes, "", name)
	if err != nil {
		c.t.Error(err)
		return
	}
	node := obj.(*v1.Node).DeepCopy()
	node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: ready}}
	if err := c.client.Tracker().Update(nodes, node, ""); err != nil {
		c.t.Error(err)
	}
}

// TestNodeOfAnotherName: the launcher's word on a node's name is not the last.
func TestNodeOfAnotherName(t *testing.T) {
	c := startCluster(t)
	c.create("a", "2")
	c.waitForLauncher(1)
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "as-planned")
	c.waitForPod("a", "nominated", nominated("as-planned"))
	c.join("as-it-is", "2")
	c.publish("a", slipwayv1.Reservation_PHASE_READY, "claim-1", "as-it-is")
	c.waitForPod("a", "bound", bound("as-it-is"))
	c.settled()
}

// TestWatchExpired: what the scheduler missed while its watches were dead it finds out when
// they are too old to go on (410 Gone) and everything is listed anew.
func TestWatchExpired(t *testing.T) {
	var dead deafness
	c := startCluster(t, func(c *cluster, _ *config.SlipwayArgs) { c.wrap = dead.wrap })
	c.create("a", "2")
	c.create("doomed", "2")
	c.create("elsewhere", "1")
	c.waitForLauncher(3)
	c.publish("a", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-1", "n1")
	c.publish("doomed", slipwayv1.Reservation_PHASE_LAUNCHED, "claim-2", "n2")
	c.waitForPod("a", "nominated", nominated("n1"))
	c.waitForPod("doomed", "nominated", nominated("n2"))

	dead.begin()
	if err := c.client.CoreV1().Pods("ns").Delete(c.ctx, "doomed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.addNode("n1", "2")
	c.addNode("n3", "1")
	pod, err := c.client.CoreV1().Pods("ns").Get(c.ctx, "elsewhere", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.NodeName = "n3" // by another scheduler
	if _, err := c.client.CoreV1().Pods("ns").Update(c.ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := c.builder.Reservations(); n != 3 {
		t.Fatalf("%d reservations, want 3: the watches are not dead", n)
	}
	dead.end()
	c.waitForPod("a", "bound", bound("n1"))
	c.eventually("both others are given back", func() bool {
		released := sets.New[string]() // more than once, where a pod was tried as it went
		for _, r := range c.launcher.Releases() {
			released.Insert(r.GetPodUid())
		}
		return released.Len() == 2
	})
	c.eventually("no reservation is left", func() bool { return c.builder.Reservations() == 0 })
}

// deafness makes watches lose what happens between begin and end, upon which they expire.
type deafness struct {
	mu      sync.Mutex
	deaf    bool
	expired chan struct{}
}

func (d *deafness) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf, d.expired = true, make(chan struct{})
}

func (d *deafness) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = false
	close(d.expired)
}

// now returns whether watches are deaf, and what closes when that ends.
func (d *deafness) now() (bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deaf, d.expired
}

// wrap returns a watch that begins with what is present: something may have happened since
// it was listed.
func (d *deafness) wrap(source watch.Interface, present []runtime.Object) watch.Interface {
	events := make(chan watch.Event)
	wrapped := watch.NewProxyWatcher(events)
	go func() {
		defer source.Stop()
		defer close(events)
		for _, object := range present {
			select {
			case <-wrapped.StopChan():
				return
			case events <- watch.Event{Type: watch.Modified, Object: object}:
			}
		}
		for {
			var event watch.Event
			select {
			case <-wrapped.StopChan():
				return
			case event = <-source.ResultChan():
			}
			deaf, expired := d.now()
			if deaf {
				select {
				case <-wrapped.StopChan():
					return
				case <-expired:
				}
				gone := apierrors.NewResourceExpired("too old resource version").Status()
				event = watch.Event{Type: watch.Error, Object: &gone}
			}
			select {
			case <-wrapped.StopChan():
				return
			case events <- event:
			}
			if deaf {
				return
			}
		}
	}()
	return wrapped
}
