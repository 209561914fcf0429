package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	componentversion "k8s.io/component-base/version"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/catalog"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/live"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
	"github.com/slipway-dev/slipway/launcher/offering"
)

// schedulerProfile loads the first profile of a KubeSchedulerConfiguration.
func schedulerProfile(file string) (*schedulerconfig.KubeSchedulerProfile, error) {
	profiles, err := schedulerProfiles(file)
	if err != nil {
		return nil, err
	}
	return &profiles[0], nil
}

// schedulerProfiles loads the profiles of a KubeSchedulerConfiguration, at least one. The
// default one filters as the shipped configuration does, which differs in what plays no part here.
func schedulerProfiles(file string) ([]schedulerconfig.KubeSchedulerProfile, error) {
	if file == "" {
		cfg, err := latest.Default()
		if err != nil {
			return nil, err
		}
		return cfg.Profiles, nil
	}
	cfg, err := options.LoadConfigFromFile(klog.Background(), file)
	if err != nil {
		return nil, fmt.Errorf("%w: --scheduler-config %s: %w", input.ErrWrong, file, err)
	}
	if len(cfg.Profiles) == 0 {
		return nil, fmt.Errorf("%w: --scheduler-config %s: it has no profile", input.ErrWrong, file)
	}
	return cfg.Profiles, nil
}

// readObjects reads the cluster and the manifests; what manifests say replaces what the
// cluster has.
func readObjects(ctx context.Context, o *planOptions, stdin io.Reader) (*workload.Objects, []string, error) {
	read, err := manifest.Read(o.files, stdin)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	if len(read.Ignored) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(read.Ignored)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", read.Ignored[kind], kind))
		}
		notes = append(notes, "ignored, as they have no bearing on where pods go: "+strings.Join(kinds, ", "))
	}
	if !o.cluster {
		return read.Objects, notes, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	cluster, err := live.Connect(o.kubeconfig, o.kubeContext)
	if err != nil {
		return nil, nil, err
	}
	objects, err := cluster.Objects(ctx, o.namespace)
	if err != nil {
		return nil, nil, err
	}
	objects.Overlay(read.Objects)
	return objects, notes, nil
}

// openSource is where instance types and prices come from.
func openSource(ctx context.Context, o *planOptions) (offering.Source, error) {
	switch {
	case o.live:
		kubeVersion, err := kubeVersion(o)
		if err != nil {
			return nil, err
		}
		return live.EC2(ctx, o.clusterName, kubeVersion)
	case o.catalog != "":
		file, err := os.Open(o.catalog)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", input.ErrWrong, err)
		}
		defer file.Close()
		return catalog.ReadCSV(o.catalog, file)
	default:
		return catalog.Builtin()
	}
}

// kubeVersion chooses the image that nodes run: the cluster's, or the one this is built for.
func kubeVersion(o *planOptions) (string, error) {
	if !o.cluster {
		return componentversion.DefaultKubeBinaryVersion, nil
	}
	cluster, err := live.Connect(o.kubeconfig, o.kubeContext)
	if err != nil {
		return "", err
	}
	return cluster.Version()
}
