package simkubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

const (
	leaseSeconds  = 40 // the kubelet's own defaults
	renewInterval = 10 * time.Second
	callTimeout   = 10 * time.Second
)

// errNameTaken means that another machine's Node has the name.
var errNameTaken = errors.New("node name is taken")

// runKubelet lives from boot until the instance is shut down. An error means
// that the machine will never be a node.
func (k *Kubelets) runKubelet(ctx context.Context, i simec2.Instance, log *slog.Logger) error {
	if !k.sleep(ctx, k.cfg.StartDelay) {
		return nil
	}
	parse := parseUserData
	if i.OS == simec2.OSBottlerocket {
		parse = parseSettings
	}
	cfg, err := parse(i.UserData)
	if err != nil {
		return err
	}
	if got := cfg.Spec.Cluster.Name; got != k.cfg.ClusterName {
		return fmt.Errorf("%w: cluster %q: the authenticator knows only %q", errUserData, got, k.cfg.ClusterName)
	}
	node, err := newNode(i, cfg, k.cfg.KubeletVersion, k.cfg.Clock.Now())
	if err != nil {
		return err
	}
	if err := k.cfg.Access.mayRegister(i, node.Name); err != nil {
		return err
	}
	client, err := k.clients.get(cfg.Spec.Cluster)
	if err != nil {
		return err
	}
	if k.cfg.Register != nil {
		if node = k.cfg.Register(i, node); node == nil {
			log.Info("kubelet registers nothing")
			return nil
		}
	}
	// From here on KWOK plays the node; it must know before the Node exists.
	k.view.add(node.Name)
	defer k.view.remove(node.Name)
	registered, err := register(ctx, client, node, log)
	if err != nil {
		return err
	}
	log.Info("node registered", "node", node.Name, "type", i.Type.Name, "zone", i.Zone)
	keepLease(ctx, client, registered)
	log.Info("kubelet stopped", "node", node.Name)
	return nil
}

func (k *Kubelets) sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	t := k.cfg.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C():
		return true
	}
}

// register creates the Node, and tries again with a kubelet's backoff while the
// API server cannot be reached or refuses.
func register(ctx context.Context, client kubernetes.Interface, node *corev1.Node, log *slog.Logger) (*corev1.Node, error) {
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Cap: 7 * time.Second, Steps: 1 << 30}
	for {
		registered, err := tryRegister(ctx, client, node)
		if err == nil || errors.Is(err, errNameTaken) || ctx.Err() != nil {
			return registered, err
		}
		log.Warn("registration failed, trying again", "node", node.Name, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(backoff.Step()):
		}
	}
}

// tryRegister creates the Node, or takes over the one that a kubelet of the
// same instance registered before.
func tryRegister(ctx context.Context, client kubernetes.Interface, node *corev1.Node) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes := client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return created, err
	}
	existing, err := nodes.Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if existing.Spec.ProviderID != node.Spec.ProviderID {
		return nil, fmt.Errorf("%w: %s belongs to %s", errNameTaken, node.Name, existing.Spec.ProviderID)
	}
	existing.Status = node.Status
	return nodes.UpdateStatus(ctx, existing, metav1.UpdateOptions{})
}

// keepLease renews the node's lease, as the real kubelet's own code does, until
// ctx ends.
func keepLease(ctx context.Context, client kubernetes.Interface, node *corev1.Node) {
	owned := func(l *coordinationv1.Lease) error {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
		return nil
	}
	lease.NewController(clock.RealClock{}, client, node.Name, leaseSeconds, nil, renewInterval,
		node.Name, corev1.NamespaceNodeLease, owned).Run(ctx)
}
