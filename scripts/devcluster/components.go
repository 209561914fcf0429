package devcluster

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// process fills in what the components have in common.
func (c *Cluster) process(name string, args []string, ready func(context.Context) error) ProcessConfig {
	return ProcessConfig{
		Name:         name,
		Path:         filepath.Join(c.assets, name),
		Args:         args,
		LogDir:       filepath.Join(c.config.Dir, "logs"),
		Ready:        ready,
		StartTimeout: c.config.StartTimeout,
	}
}

func (c *Cluster) etcdProcess(client, peer string) ProcessConfig {
	return c.process("etcd", []string{
		"--name=devcluster",
		"--data-dir=" + filepath.Join(c.config.Dir, "etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=devcluster=" + peer,
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}, HTTPReady(client+"/readyz", nil))
}

func (c *Cluster) apiServerProcess(etcdURL string) ProcessConfig {
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		"--secure-port=" + portOf(c.apiServerAddress),
		// A service must not have an endpoint on the loopback, so there is none.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + c.pki.server.Cert,
		"--tls-private-key-file=" + c.pki.server.Key,
		"--client-ca-file=" + c.pki.clientsFile,
		// Servers that delegate authentication, the scheduler's among them, complain without
		// a front proxy's; nobody holds a certificate of that name.
		"--requestheader-client-ca-file=" + c.pki.clientsFile,
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.accountPublic,
		"--service-account-signing-key-file=" + c.pki.accountKey,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true",
		// Without it the server waits a minute for watches to end on their own.
		"--shutdown-watch-termination-grace-period=1s",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1000",
	}
	if c.config.WithoutControllerManager {
		// Nobody makes the accounts that it would want pods to have.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	args = append(args, c.config.APIServerArgs...)
	return c.process("kube-apiserver", args, HTTPReady(c.URL()+"/readyz", c.pki.servers.PEM()))
}

func (c *Cluster) controllerManagerProcess(kubeconfig, address string) ProcessConfig {
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--secure-port=" + portOf(address),
		"--tls-cert-file=" + c.pki.server.Cert,
		"--tls-private-key-file=" + c.pki.server.Key,
		"--service-account-private-key-file=" + c.pki.accountKey,
		"--root-ca-file=" + c.pki.serversFile,
		"--leader-elect=false",
		"--controllers=" + strings.Join(controllers(), ","),
		// At the default of 20 requests a second, 100 replicas take 3.8 s to be created.
		"--kube-api-qps=5000",
		"--kube-api-burst=10000",
		"--concurrent-deployment-syncs=20",
		"--concurrent-replicaset-syncs=20",
		"--concurrent-statefulset-syncs=20",
		"--concurrent-job-syncs=20",
		"--concurrent-daemonset-syncs=10",
		"--concurrent-gc-syncs=50",
		"--concurrent-namespace-syncs=20",
		"--node-monitor-period=2s",
		"--node-monitor-grace-period=" + c.config.NodeMonitorGracePeriod.String(),
	}
	args = append(args, c.config.ControllerManagerArgs...)
	url := "https://" + address + "/healthz"
	return c.process("kube-controller-manager", args, HTTPReady(url, c.pki.servers.PEM()))
}

// defaultNodeMonitorGracePeriod is four leases of a kubelet, 10 s each.
const defaultNodeMonitorGracePeriod = 40 * time.Second

// controllers returns those of kube-controller-manager that a cluster without
// containers, networks and cloud has a use for.
func controllers() []string {
	return []string{
		"clusterrole-aggregation-controller",
		"cronjob-controller",
		"daemonset-controller",
		"deployment-controller",
		"disruption-controller",
		"ephemeral-volume-controller",
		"garbage-collector-controller",
		"job-controller",
		"namespace-controller",
		"node-lifecycle-controller",
		"persistentvolume-attach-detach-controller",
		"persistentvolume-binder-controller",
		"persistentvolume-protection-controller",
		"persistentvolumeclaim-protection-controller",
		"pod-garbage-collector-controller",
		"replicaset-controller",
		"replicationcontroller-controller",
		"resourceclaim-controller",
		"root-ca-certificate-publisher-controller",
		"serviceaccount-controller",
		"serviceaccount-token-controller",
		"statefulset-controller",
		"taint-eviction-controller",
		"ttl-after-finished-controller",
	}
}
