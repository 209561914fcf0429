package plugin

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/slipway-dev/slipway/plugin/ledger"
)

// fill makes a lab of full nodes, the pods on which ask for all there is.
func (l *lab) fill(nodes int) {
	l.t.Helper()
	for i := range nodes {
		name := fmt.Sprint("n", i)
		l.addNode(st.MakeNode().Name(name).Label("host", name).Label("zone", fmt.Sprint("z", i%3)).
			Capacity(map[v1.ResourceName]string{v1.ResourceCPU: "4", v1.ResourcePods: "110"}).Obj())
		l.addPod(pod(fmt.Sprint("full", i), "4").Label("app", "full").Node(name).Obj())
	}
}

// shapes is how many kinds of pods waiting makes.
const shapes = 5

// waiting is a pod of one of several shapes that fit on no full node.
func waiting(i int) *v1.Pod {
	shape := i % shapes
	p := st.MakePod().Namespace("ns").Name(fmt.Sprint("p", i)).UID(fmt.Sprint("p", i)).SchedulerName(SchedulerName).
		Label("app", fmt.Sprint("app", shape)).Label("pod", fmt.Sprint(i)).
		Req(map[v1.ResourceName]string{v1.ResourceCPU: fmt.Sprint(shape + 1)})
	switch shape {
	case 3:
		p.SpreadConstraint(1, "zone", v1.DoNotSchedule, st.MakeLabelSelector().Label("app", "app3").Obj(), nil, nil, nil, nil)
	case 4:
		p.Toleration("team")
	}
	return p.Obj()
}

// BenchmarkRecall: what a pod costs whose like was refused.
func BenchmarkRecall(b *testing.B) {
	l := newLab(b)
	l.fill(10)
	for i := range shapes {
		l.refuse(waiting(i), nil)
	}
	pods := make([]*v1.Pod, 1000)
	for i := range pods {
		pods[i] = waiting(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if !l.remembers(pods[i%len(pods)]) {
			b.Fatal("not remembered")
		}
	}
}

// BenchmarkLook: what the same pod costs otherwise, by another look at 1,000 nodes.
func BenchmarkLook(b *testing.B) {
	l := newLab(b)
	l.fill(1000)
	for shape, name := range []string{"plain", "", "", "spread"} {
		if name == "" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			p := waiting(shape)
			b.ReportAllocs()
			for b.Loop() {
				if l.takes(p) {
					b.Fatal("fits")
				}
			}
		})
	}
}

// BenchmarkBurst: 10,000 pods of five shapes are created at once against 1,000 full nodes,
// over a fake API server that takes no time; until all are handed over.
func BenchmarkBurst(b *testing.B) {
	const nodes, pods = 1000, 10_000
	for _, bc := range []struct {
		name   string
		attach func(l *lab)
	}{
		{"as stock", func(*lab) {}},
		{"one write", func(l *lab) { l.sched.FailureHandler = l.plugin.explaining(l.sched.FailureHandler) }},
		{"memory and one write", func(l *lab) {
			l.sched.SchedulePod = l.plugin.remembering(l.memory, l.sched.SchedulePod)
			next := l.sched.NextPod
			l.sched.NextPod = func(logger klog.Logger) (*framework.QueuedPodInfo, error) {
				info, err := next(logger)
				l.memory.Begin()
				return info, err
			}
			l.sched.FailureHandler = l.plugin.explaining(l.sched.FailureHandler)
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				l := newLab(b)
				l.fill(nodes)
				bc.attach(l)
				l.await(pods, "create pods", func() error {
					for i := range pods {
						if _, err := l.client.CoreV1().Pods("ns").Create(l.ctx, waiting(i), metav1.CreateOptions{}); err != nil {
							return err
						}
					}
					return nil
				})
				b.StartTimer()
				ctx, cancel := context.WithTimeout(l.ctx, 5*time.Minute)
				for range pods {
					l.sched.ScheduleOne(ctx)
				}
				cancel()
				b.StopTimer()
				if got := len(l.plugin.ledger.Pods()); got != pods {
					b.Fatalf("%d pods were handed over, want %d", got, pods)
				}
				// What it takes to hear of a pod being bound while all these wait.
				start := time.Now()
				l.addPod(pod("another", "0").Node("n0").Obj())
				b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/bind-event")
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/pods, "µs/pod")
		})
	}
}

// BenchmarkFit: what a pod costs that fits, against 1,000 nodes.
func BenchmarkFit(b *testing.B) {
	for _, bc := range []struct {
		name string
		held int
	}{{"no room is held", 0}, {"room is held on 10 nodes", 10}} {
		b.Run(bc.name, func(b *testing.B) {
			l := newLab(b)
			l.fill(1000)
			var updates []ledger.Update
			for i := range bc.held {
				updates = append(updates, launched(fmt.Sprint("h", i), "c", fmt.Sprint("n", i)))
			}
			l.plugin.Apply(updates)
			l.snapshot()
			p := pod("fits", "0").Obj()
			b.ReportAllocs()
			for b.Loop() {
				if !l.takes(p) {
					b.Fatal("fits nowhere")
				}
			}
		})
	}
}
