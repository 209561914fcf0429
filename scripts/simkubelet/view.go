package simkubelet

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// nodeView is the set of nodes whose kubelet runs. KWOK sees the cluster's
// nodes through it: the Node of a kubelet that has stopped looks deleted to
// KWOK, which then leaves it and its pods alone, although nothing was written.
type nodeView struct {
	mu      sync.Mutex
	running map[string]bool
	watches map[*viewedWatch]bool
}

func newNodeView() *nodeView {
	return &nodeView{running: map[string]bool{}, watches: map[*viewedWatch]bool{}}
}

// add shows the node from now on. It must come before the Node is written.
func (v *nodeView) add(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running[name] = true
}

// remove hides the node, and tells watchers that it is gone.
func (v *nodeView) remove(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.running, name)
	for w := range v.watches {
		w.hide(name)
	}
}

func (v *nodeView) shows(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.running[name]
}

// viewedClient is a client whose nodes are those of the view.
type viewedClient struct {
	kubernetes.Interface
	view *nodeView
}

// CoreV1 replaces the nodes' interface.
func (c viewedClient) CoreV1() corev1client.CoreV1Interface {
	return viewedCore{c.Interface.CoreV1(), c.view}
}

type viewedCore struct {
	corev1client.CoreV1Interface
	view *nodeView
}

// Nodes are the nodes of the view.
func (c viewedCore) Nodes() corev1client.NodeInterface {
	return viewedNodes{c.CoreV1Interface.Nodes(), c.view}
}

type viewedNodes struct {
	corev1client.NodeInterface
	view *nodeView
}

// List leaves out the nodes that the view hides.
func (n viewedNodes) List(ctx context.Context, opts metav1.ListOptions) (*corev1.NodeList, error) {
	list, err := n.NodeInterface.List(ctx, opts)
	if err != nil {
		return nil, err
	}
	shown := list.Items[:0]
	for _, node := range list.Items {
		if n.view.shows(node.Name) {
			shown = append(shown, node)
		}
	}
	list.Items = shown
	return list, nil
}

// Watch leaves out events of nodes that the view hides, and reports a node that
// becomes hidden as deleted.
func (n viewedNodes) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	inner, err := n.NodeInterface.Watch(ctx, opts)
	if err != nil {
		return nil, err
	}
	w := &viewedWatch{
		inner: inner, view: n.view, version: opts.ResourceVersion,
		out: make(chan watch.Event), stopped: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	n.view.mu.Lock()
	n.view.watches[w] = true
	n.view.mu.Unlock()
	go w.run()
	return w, nil
}

// viewedWatch forwards a watch through a view. Its one goroutine ends when the
// inner watch does or Stop is called.
type viewedWatch struct {
	inner   watch.Interface
	view    *nodeView
	version string // last seen; only run touches it
	out     chan watch.Event
	once    sync.Once
	stopped chan struct{}

	wake   chan struct{}
	mu     sync.Mutex
	hidden []string // since the last wake
}

// ResultChan is where the events come out.
func (w *viewedWatch) ResultChan() <-chan watch.Event { return w.out }

// Stop ends the watch.
func (w *viewedWatch) Stop() {
	w.once.Do(func() { close(w.stopped) })
	w.inner.Stop()
}

func (w *viewedWatch) hide(name string) {
	w.mu.Lock()
	w.hidden = append(w.hidden, name)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *viewedWatch) run() {
	defer close(w.out)
	defer func() {
		w.view.mu.Lock()
		defer w.view.mu.Unlock()
		delete(w.view.watches, w)
	}()
	for {
		select {
		case <-w.stopped:
			return
		case <-w.wake:
			w.mu.Lock()
			names := w.hidden
			w.hidden = nil
			w.mu.Unlock()
			for _, name := range names {
				gone := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: w.version}}
				if !w.send(watch.Event{Type: watch.Deleted, Object: gone}) {
					return
				}
			}
		case e, ok := <-w.inner.ResultChan():
			if !ok {
				return
			}
			if node, isNode := e.Object.(*corev1.Node); isNode {
				w.version = node.ResourceVersion
				if e.Type != watch.Bookmark && !w.view.shows(node.Name) {
					continue
				}
			}
			if !w.send(e) {
				return
			}
		}
	}
}

func (w *viewedWatch) send(e watch.Event) bool {
	select {
	case w.out <- e:
		return true
	case <-w.stopped:
		return false
	}
}
