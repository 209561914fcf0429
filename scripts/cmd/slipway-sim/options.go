package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-dev/slipway/scripts/simec2"
)

const longHelp = `slipway-sim is a stand-in for the cloud. It serves the EC2, SSM, Pricing, SQS and STS
APIs, as AWS SDKs and the aws command line speak them, on a loopback address, and
runs a simulated kubelet for every instance that boots. It prints the endpoint
on standard output once it serves, and a line per event on standard error.

Point clients at it with AWS_ENDPOINT_URL, and give them any credentials:
requests must be signed, but signatures are not verified.

A kubelet reads where its API server is, and how to trust it, from its
instance's user data; --kubeconfig gives it only the credentials that a cloud
would hand out.

Below /_sim/ on the same endpoint is a control API: GET instances, calls, faults;
PUT capacity, faults, memory; POST terminate, interrupt, impair, messages, images.

Every flag can be given as an environment variable: --boot-delay is
SIM_BOOT_DELAY. A flag on the command line wins.`

const examples = `  # Instances that boot in two seconds and nodes in the cluster of a kubeconfig
  slipway-sim --listen 127.0.0.1:4566 --boot-delay 2s --kubeconfig ~/.kube/config

  # Talk to it
  AWS_ENDPOINT_URL=http://127.0.0.1:4566 aws ec2 describe-subnets

  # No spot capacity for m5.large in one zone, and every third CreateFleet fails
  echo '[{"instanceType":"m5.large","zone":"us-east-1a","capacityType":"spot","instances":0}]' > capacity.json
  echo '[{"action":"CreateFleet","code":"InternalError","rate":0.33}]' > faults.json
  slipway-sim --capacity capacity.json --faults faults.json`

// options are the flags.
type options struct {
	listen        string
	addressFile   string
	kubeconfig    string
	clusterName   string
	regionName    string
	queueName     string
	kubernetes    string
	bootDelay     time.Duration
	kubeletDelay  time.Duration
	shutdownDelay time.Duration
	readLag       time.Duration
	unthrottled   bool
	spotMove      time.Duration
	capacityFile  string
	faultsFile    string
	seed          uint64
}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `address` to serve on; port 0 picks a free one")
	f.StringVar(&o.addressFile, "address-file", "", "`file` to write the endpoint's URL to once serving")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` with the credentials of the kubelets; without it there are no kubelets")
	f.StringVar(&o.clusterName, "cluster-name", "slipway-dev", "`name` that the subnets are tagged with and user data must give")
	f.StringVar(&o.regionName, "region", "us-east-1", "`name` of the region; prices are those of us-east-1 anywhere")
	f.StringVar(&o.queueName, "queue-name", "", "`name` of the SQS queue that hears of what happens to instances; by default the cluster's")
	f.DurationVar(&o.spotMove, "spot-prices-move", 0, "`time` between steps of spot prices; 0: they stand still")
	f.StringVar(&o.kubernetes, "kubernetes-version", "1.36", "minor `version` that node images are published for")
	f.DurationVar(&o.bootDelay, "boot-delay", 0, "`time` from launch to a running instance (about 12s in truth)")
	f.DurationVar(&o.kubeletDelay, "kubelet-delay", 0, "`time` from a running instance to its registration (about 15s in truth)")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", 0, "`time` an instance takes to terminate")
	f.DurationVar(&o.readLag, "read-lag", 200*time.Millisecond, "`time` until Describe calls see a write")
	f.BoolVar(&o.unthrottled, "unthrottled", false, "turn off the request rate limits that AWS publishes")
	f.StringVar(&o.capacityFile, "capacity", "", "JSON `file` with capacity rules; pools without a rule are unlimited")
	f.StringVar(&o.faultsFile, "faults", "", "JSON `file` with faults to inject from the start")
	f.Uint64Var(&o.seed, "seed", 1, "`number` that ids and fault draws derive from")
}

// fromEnvironment sets the flags that the command line left out.
func fromEnvironment(f *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var err error
	f.VisitAll(func(flag *pflag.Flag) {
		name := "SIM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := lookup(name)
		if !ok || flag.Changed || err != nil {
			return
		}
		if setErr := f.Set(flag.Name, value); setErr != nil {
			err = fmt.Errorf("%s: %w", name, setErr)
		}
	})
	return err
}

// region turns the flags into the region's configuration.
func (o *options) region(logger *slog.Logger) (simec2.Config, error) {
	cfg := simec2.Config{
		Listen: o.listen, Region: o.regionName, QueueName: o.queueName, SpotPricesMove: o.spotMove, ClusterName: o.clusterName, KubernetesVersion: o.kubernetes,
		BootDelay: o.bootDelay, ShutdownDelay: o.shutdownDelay, ReadLag: &o.readLag, Unthrottled: o.unthrottled,
		Seed: o.seed, Logger: logger,
	}
	if err := readJSON(o.capacityFile, &cfg.Capacity); err != nil {
		return cfg, err
	}
	return cfg, readJSON(o.faultsFile, &cfg.Faults)
}

// readJSON reads a file strictly; no file is no error.
func readJSON(path string, into any) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeAddress puts the endpoint where others wait for it, in one step, so that
// nobody reads half of it.
func (o *options) writeAddress(url string) error {
	if o.addressFile == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(o.addressFile), ".slipway-sim-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // a no-op once renamed
	if _, err := fmt.Fprintln(tmp, url); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), o.addressFile)
}
