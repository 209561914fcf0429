package simkubelet

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestAccess: an API server that authorizes nodes lets in whom the simulation does.
func TestAccess(t *testing.T) {
	cfg, _ := startCluster(t, func(server *envtest.APIServer) {
		server.Configure().Set("authorization-mode", "Node", "RBAC").Append("enable-admission-plugins", "NodeRestriction")
	})
	for _, tt := range []struct {
		name       string
		access     Access
		byInstance bool // what the user data says nodes are named by
		registers  bool
	}{
		{"named by instance, role known by session", AccessEC2, true, true},
		{"named by instance, role known by address", AccessEC2Linux, true, false},
		{"named by address, role known by session", AccessEC2, false, false},
		{"named by address, role known by address", AccessEC2Linux, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			machine := instanceWith("i-0123456789abcdef0", userDataFor(cfg, "slipway-dev"))
			settings, err := parseUserData(machine.UserData)
			if err != nil {
				t.Fatal(err)
			}
			settings.Spec.FeatureGates[instanceIDNodeName] = tt.byInstance
			node, err := newNode(machine, settings, "v1.36.3", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.access.mayRegister(machine, node.Name); (err == nil) != tt.registers || err != nil && !errors.Is(err, errForbidden) {
				t.Errorf("the simulation: %v", err)
			}

			as := rest.CopyConfig(cfg)
			as.Impersonate = rest.ImpersonationConfig{UserName: tt.access.user(machine), Groups: []string{"system:nodes"}}
			_, err = tryRegister(t.Context(), kubernetes.NewForConfigOrDie(as), node)
			if tt.registers && err != nil || !tt.registers && !apierrors.IsForbidden(err) {
				t.Errorf("the API server: %v", err)
			}
		})
	}
}

// TestStrangerDoesNotRegister: an instance whose role the cluster knows by another name than
// its node's never becomes one.
func TestStrangerDoesNotRegister(t *testing.T) {
	cfg := &rest.Config{Host: "https://127.0.0.1:1"}
	logger := slog.New(slog.DiscardHandler)
	k, err := New(Config{Cloud: &fakeCloud{}, Credentials: cfg, Access: AccessEC2Linux})
	if err != nil {
		t.Fatal(err)
	}
	err = k.runKubelet(t.Context(), instanceWith("i-0001", mimeOf(nodeConfigType, sampleConfig)), logger)
	if !errors.Is(err, errForbidden) || !strings.Contains(err.Error(), "ip-10-0-0-4.ec2.internal") {
		t.Errorf("error %v", err)
	}
	if _, err := New(Config{Cloud: &fakeCloud{}, Credentials: cfg, Access: "STANDARD"}); err == nil {
		t.Error("an access entry of no node is taken")
	}
}
