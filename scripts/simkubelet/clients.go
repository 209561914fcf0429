package simkubelet

import (
	"fmt"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// clients makes one client per API server named in user data, shared by the
// kubelets that name the same.
type clients struct {
	credentials *rest.Config
	mu          sync.Mutex
	byCluster   map[string]kubernetes.Interface
}

func newClients(credentials *rest.Config) *clients {
	return &clients{credentials: credentials, byCluster: map[string]kubernetes.Interface{}}
}

// get connects to the endpoint, trusting only the authority, of the user data.
func (c *clients) get(cluster clusterDetails) (kubernetes.Interface, error) {
	key := cluster.APIServerEndpoint + "\x00" + string(cluster.CertificateAuthority)
	c.mu.Lock()
	defer c.mu.Unlock()
	if client, ok := c.byCluster[key]; ok {
		return client, nil
	}
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host:            cluster.APIServerEndpoint,
		BearerToken:     c.credentials.BearerToken,
		BearerTokenFile: c.credentials.BearerTokenFile,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   cluster.CertificateAuthority,
			CertData: c.credentials.CertData, CertFile: c.credentials.CertFile,
			KeyData: c.credentials.KeyData, KeyFile: c.credentials.KeyFile,
		},
		QPS:       -1, // each kubelet would have a budget of its own
		UserAgent: "simkubelet",
	})
	if err != nil {
		return nil, fmt.Errorf("%w: cluster %s: %w", errUserData, cluster.Name, err)
	}
	c.byCluster[key] = client
	return client, nil
}
