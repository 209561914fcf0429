package devcluster

import (
	"fmt"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Namespace holds Slipway's service accounts and leases.
const Namespace = metav1.NamespaceSystem

// User is who a kubeconfig speaks for, by a client certificate of its own.
// What it may do is up to RBAC.
type User struct {
	// File is the name, without extension, of the kubeconfig's file.
	File   string
	Name   string
	Groups []string
}

// Admin may do everything.
func Admin() User {
	return User{File: "admin", Name: "admin", Groups: []string{"system:masters"}}
}

// ServiceAccount is a user with the name and the groups of a service account:
// the rights bound to the account are the user's, no more and no less.
func ServiceAccount(namespace, name string) User {
	return User{
		File:   name,
		Name:   "system:serviceaccount:" + namespace + ":" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
}

// Scheduler is the user that slipway-scheduler runs as.
func Scheduler() User { return ServiceAccount(Namespace, "slipway-scheduler") }

// Launcher is the user that slipway-launcher runs as.
func Launcher() User { return ServiceAccount(Namespace, "slipway-launcher") }

// Kubelets is the user that all simulated kubelets share. Start binds the
// group system:nodes to the ClusterRole system:node, which the Node authorizer
// would do for each node alone.
func Kubelets() User {
	return User{File: "kubelets", Name: "system:node:slipway-sim", Groups: []string{"system:nodes"}}
}

// RESTConfig returns the administrator's configuration, with client limits
// that do not slow a burst down.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// UserConfig returns a configuration of another user, as RESTConfig does.
func (c *Cluster) UserConfig(user User) (*rest.Config, error) {
	pair, err := c.pki.clients.Client(user.Name, user.Groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: c.URL(),
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.pki.servers.PEM(),
			CertData: pair.Cert,
			KeyData:  pair.Key,
		},
		QPS:   5000,
		Burst: 10000,
	}, nil
}

// Kubeconfig writes DIR/kubeconfig/FILE.yaml for a user and returns its path.
// Every call issues a new client certificate.
func (c *Cluster) Kubeconfig(user User) (string, error) {
	path, err := c.writeKubeconfig(user)
	if err != nil {
		return "", fmt.Errorf("kubeconfig of %s: %w", user.Name, err)
	}
	return path, nil
}

func (c *Cluster) writeKubeconfig(user User) (string, error) {
	if user.File == "" || strings.ContainsAny(user.File, `/\:`) {
		return "", fmt.Errorf("%w: %q is no file name", ErrInvalidConfig, user.File)
	}
	config, err := c.UserConfig(user)
	if err != nil {
		return "", err
	}
	const name = "devcluster"
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			name: {Server: config.Host, CertificateAuthorityData: config.CAData},
		},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			user.File: {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData},
		},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user.File}},
		CurrentContext: name,
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.config.Dir, "kubeconfig", user.File+".yaml")
	return path, writeFile(path, content)
}
