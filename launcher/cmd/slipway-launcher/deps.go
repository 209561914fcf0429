package main

import (
	"context"
	"fmt"
	"os"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/slipway-dev/slipway/launcher/api/v1alpha1"
	"github.com/slipway-dev/slipway/launcher/cloud/ec2"
	"github.com/slipway-dev/slipway/launcher/config"
	"github.com/slipway-dev/slipway/launcher/fit"
	"github.com/slipway-dev/slipway/launcher/nodeclaim"
)

// newProvider connects to EC2 and finds what the configuration leaves to be found.
func newProvider(ctx context.Context, cfg *config.Config, restConfig *rest.Config, kube kubernetes.Interface) (*ec2.Provider, error) {
	var region []func(*awsconfig.LoadOptions) error
	if cfg.AWS.Region != "" {
		region = append(region, awsconfig.WithRegion(cfg.AWS.Region))
	}
	aws, err := awsconfig.LoadDefaultConfig(ctx, region...)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	join := ec2.Cluster{
		Name: cfg.Cluster.Name, Endpoint: cfg.Cluster.Endpoint, ServiceCIDR: cfg.Cluster.ServiceCIDR,
		KubeVersion: ec2.FixedVersion(cfg.Cluster.KubeVersion),
	}
	if join.Endpoint == "" {
		join.Endpoint = restConfig.Host
	}
	if join.CABundle, err = caBundle(cfg, restConfig); err != nil {
		return nil, err
	}
	if cfg.Cluster.KubeVersion == "" {
		join.KubeVersion = (&serverVersion{read: readVersion(kube.Discovery().RESTClient()), clock: clock.RealClock{}}).get
	}
	var aliases map[string]string
	if cfg.KarpenterLabels {
		aliases = v1alpha1.KarpenterLabels()
	}
	return ec2.New(ec2.Config{
		AWS: aws, Cluster: join, InstanceProfile: cfg.AWS.InstanceProfile, LabelAliases: aliases,
		Clock: clock.RealClock{}, Registerer: metrics.Registry,
	})
}

// notices is where AWS says what will happen to instances; nil where that is not configured.
func notices(provider *ec2.Provider, cfg *config.Config) nodeclaim.Notices {
	if cfg.AWS.InterruptionQueue == "" {
		return nil
	}
	return provider.Queue(cfg.AWS.InterruptionQueue)
}

func caBundle(cfg *config.Config, restConfig *rest.Config) ([]byte, error) {
	file := cfg.Cluster.CAFile
	if file == "" {
		if len(restConfig.CAData) > 0 {
			return restConfig.CAData, nil
		}
		file = restConfig.CAFile
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cluster.caFile: %w", err)
	}
	return pem, nil
}

// newEngines builds fit engines for every profile of the scheduler's configuration, a set for
// each of those who plan: an engine is for one at a time.
func newEngines(ctx context.Context, cfg *config.Config, mgr ctrl.Manager, kube kubernetes.Interface) (allocating, consolidating map[string]*fit.Engine, err error) {
	scheduler, err := options.LoadConfigFromFile(klog.FromContext(ctx), cfg.SchedulerConfigFile)
	if err != nil {
		return nil, nil, fmt.Errorf("schedulerConfigFile %s: %w", cfg.SchedulerConfigFile, err)
	}
	factory := informers.NewSharedInformerFactory(kube, 0)
	allocating, consolidating = map[string]*fit.Engine{}, map[string]*fit.Engine{}
	for i := range scheduler.Profiles {
		for _, engines := range []map[string]*fit.Engine{allocating, consolidating} {
			profile := &scheduler.Profiles[i]
			if engines[profile.SchedulerName], err = fit.NewEngine(ctx, fit.Config{
				Profile: profile, Client: kube, Informers: factory, OutOfTree: []string{"Slipway"},
			}); err != nil {
				return nil, nil, err
			}
		}
	}
	ctx, stop := context.WithCancel(ctx)
	factory.Start(ctx.Done())
	return allocating, consolidating, mgr.Add(informerRunner{factory, stop})
}

// informerRunner ends the scheduler plugins' informers, which run on the leader and on standbys.
type informerRunner struct {
	factory informers.SharedInformerFactory
	stop    context.CancelFunc
}

var _ manager.LeaderElectionRunnable = informerRunner{}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (informerRunner) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (r informerRunner) Start(ctx context.Context) error {
	<-ctx.Done()
	r.stop()
	r.factory.Shutdown()
	return nil
}
