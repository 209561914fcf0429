package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/report"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/simulate"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// readTimeout bounds what is read from a cluster and from AWS.
const readTimeout = time.Minute

// planOptions are the flags of `slipway plan`.
type planOptions struct {
	files           []string
	catalog         string
	live            bool
	clusterName     string
	cluster         bool
	kubeconfig      string
	kubeContext     string
	namespace       string
	schedulerConfig string
	output          string
	verbosity       int
}

func planCommand() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan -f FILE... [--catalog FILE | --live] [--cluster] [-o table|json|yaml]",
		Short: "Show which nodes would be launched for pods, and at what price.",
		Long:  planHelp,
		Example: `  # what would this application run on?
  slipway plan -f app.yaml

  # with NodePools of one's own, as JSON
  kustomize build overlays/prod | slipway plan -f - -f nodepools/ -o json

  # with today's prices and types of AWS
  slipway plan -f app.yaml --live --cluster-name my-cluster

  # what the pods that wait in a cluster would get, and a new application beside them
  slipway plan --cluster -f app.yaml`,
		Args:                  noArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			if err := setLog(o.verbosity, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return plan(cmd.Context(), &o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&o.files, "file", "f", nil, "manifest, directory of manifests, or - for standard input; may be given several times")
	f.StringVarP(&o.output, "output", "o", "table", "table, json or yaml")
	f.StringVar(&o.catalog, "catalog", "", "CSV file of instance types and on-demand prices to buy from")
	f.BoolVar(&o.live, "live", false, "buy from what AWS offers at the moment; credentials and region come from the environment")
	f.StringVar(&o.clusterName, "cluster-name", "", "with --live: name that the subnets are tagged with")
	f.BoolVar(&o.cluster, "cluster", false, "plan for the pods that wait in the current kubeconfig's cluster, with its nodes and NodePools")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "with --cluster: kubeconfig file; by default $KUBECONFIG or ~/.kube/config")
	f.StringVar(&o.kubeContext, "context", "", "with --cluster: context of the kubeconfig")
	f.StringVarP(&o.namespace, "namespace", "n", "", "with --cluster: only pods of this namespace; by default of all")
	f.StringVar(&o.schedulerConfig, "scheduler-config", "", "KubeSchedulerConfiguration that decides what fits; by default kube-scheduler's own")
	f.IntVar(&o.verbosity, "v", 0, "log level of the scheduler's code; 0 for none")
	return cmd
}

// validate refuses flags that have no effect or no meaning.
func (o *planOptions) validate() error {
	var wrong []string
	refuse := func(is bool, what string) {
		if is {
			wrong = append(wrong, what)
		}
	}
	refuse(len(o.files) == 0 && !o.cluster, "name manifests with -f, or a cluster with --cluster")
	refuse(!slices.Contains([]string{"table", "json", "yaml"}, o.output), fmt.Sprintf("-o %s is none of table, json and yaml", o.output))
	wrong = append(wrong, o.wrongPrices()...)
	refuse(!o.cluster && o.kubeconfig+o.kubeContext+o.namespace != "", "--kubeconfig, --context and --namespace are for --cluster")
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s; see slipway plan --help", input.ErrWrong, strings.Join(wrong, "; "))
	}
	return nil
}

// wrongPrices refuses flags about prices that contradict each other.
func (o *planOptions) wrongPrices() []string {
	switch {
	case o.live && o.catalog != "":
		return []string{"--live and --catalog exclude each other"}
	case o.live && o.clusterName == "":
		return []string{"--live needs --cluster-name: subnets are found by the cluster's name"}
	case !o.live && o.clusterName != "":
		return []string{"--cluster-name is for --live"}
	default:
		return nil
	}
}

// prices says where types and prices come from.
func (o *planOptions) prices() string {
	switch {
	case o.live:
		return "what AWS offers now"
	case o.catalog != "":
		return "types and prices of " + o.catalog
	default:
		return "built-in on-demand prices of us-east-1"
	}
}

// setLog sends the log of the scheduler's code to stderr, or nowhere.
func setLog(verbosity int, stderr io.Writer) error {
	if verbosity == 0 {
		klog.SetLogger(logr.Discard())
		return nil
	}
	flags := flag.NewFlagSet("log", flag.ContinueOnError)
	klog.InitFlags(flags)
	klog.LogToStderr(false)
	klog.SetOutput(stderr)
	return flags.Set("v", fmt.Sprint(verbosity))
}

// plan reads, plans and prints.
func plan(ctx context.Context, o *planOptions, stdin io.Reader, stdout, stderr io.Writer) error {
	profile, err := schedulerProfile(o.schedulerConfig)
	if err != nil {
		return err
	}
	p, err := planFor(ctx, o, profile, stdin, nil)
	if err != nil {
		return err
	}
	for _, note := range p.notes {
		fmt.Fprintln(stderr, "note:", note)
	}
	switch o.output {
	case "json":
		return p.result.JSON(stdout)
	case "yaml":
		return p.result.YAML(stdout)
	default:
		return p.result.Table(stdout, p.owners, terminalWidth())
	}
}

// outcome is a plan, and what goes with it.
type outcome struct {
	result *report.Result
	owners map[string]string // of pods; see report.Result.Table
	notes  []string
}

// planFor plans for the pods that wait; where only is set, for those of them that it names.
func planFor(ctx context.Context, o *planOptions, profile *schedulerconfig.KubeSchedulerProfile, stdin io.Reader, only func(*corev1.Pod) bool) (*outcome, error) {
	start := time.Now()
	objects, notes, err := readObjects(ctx, o, stdin)
	if err != nil {
		return nil, err
	}
	load := workload.New(objects)
	if only != nil {
		load.Waiting = slices.DeleteFunc(load.Waiting, func(pod *corev1.Pod) bool { return !only(pod) })
	}
	market, err := openMarket(ctx, o, objects, load.Waiting)
	if err != nil {
		return nil, err
	}
	read := time.Since(start)
	found, err := simulate.Plan(ctx, simulate.Input{
		Profile: profile, Objects: objects, Workload: load, Offers: market.offers, Types: market.types, Pools: market.pools,
	})
	if err != nil {
		return nil, err
	}
	market.explain(found.Unplaced)
	return &outcome{
		result: report.New(found, market.offers, len(load.Waiting), read), owners: load.Owners,
		notes: slices.Concat(notes, load.Notes, market.notes),
	}, nil
}
