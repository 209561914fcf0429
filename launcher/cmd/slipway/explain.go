package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	schedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/explain"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/live"
)

const explainHelp = `Explain says from a cluster's live objects how things stand with one of them, the most important
sentence first:

  pod        why it waits: for its node, and how far that is; for room, and why none can be bought;
             for its scheduling gates or another scheduler
  node       why it stays or goes, what it costs, what is on it, and what is in the way of its
             disruption or its drain
  nodeclaim  the same, from when it was planned on

Where conditions and events of the object say something already, those words are shown. For a pod
that waits without a place, explain plans for it alone as slipway plan --cluster does, with the
built-in prices of us-east-1 unless --live or --catalog says otherwise.

Output. Text for people, or JSON: kind, namespace, name, state, summary, details, kept (what keeps the
node or pod), advice, plan and planPrices (see slipway plan), node (see slipway nodes), podsOnIt
(counts by owner), conditions (of the NodeClaim), events (the latest first).

Rights. get pods, nodes and nodepools.slipway.dev; list pods and nodeclaims.slipway.dev; where they
may be listed, too: poddisruptionbudgets.policy and events.events.k8s.io. A plan for a pod needs to list
what slipway plan --cluster lists (see there); where that is refused, the rest is said without a plan.

Exit code: 0 when the object was explained, 2 when flags are wrong or there is no such object, 1 when
something else fails.`

// defaultScheduler is the name of the profile that the chart installs.
const defaultScheduler = "slipway-scheduler"

// explainOptions are the flags of `slipway explain`; those of the plan are a part of them.
type explainOptions struct {
	plan   planOptions
	output string
}

func explainCommand() *cobra.Command {
	o := explainOptions{plan: planOptions{cluster: true}}
	cmd := &cobra.Command{
		Use:   "explain pod|node|nodeclaim NAME [-n NAMESPACE] [-o text|json]",
		Short: "Say why a pod waits, or why a node stays or goes.",
		Long:  explainHelp,
		Example: `  # why does it not run?
  slipway explain pod web-7d4b9c-x2x4q -n shop
  slipway explain pod shop/web-7d4b9c-x2x4q

  # why does it not go?
  slipway explain node ip-10-0-3-17.ec2.internal

  # for a script
  slipway explain nodeclaim general-x7k2p -o json | jq -r .state`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := o.subject(args)
			if err != nil {
				return err
			}
			if err := setLog(o.plan.verbosity, cmd.ErrOrStderr()); err != nil {
				return err
			}
			e, notes, err := o.explain(cmd.Context(), kind, name)
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
			}
			return o.print(cmd.OutOrStdout(), e)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.plan.namespace, "namespace", "n", "", "namespace of the pod; by default that of the kubeconfig's context")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.StringVar(&o.plan.kubeconfig, "kubeconfig", "", "kubeconfig file; by default $KUBECONFIG or ~/.kube/config")
	f.StringVar(&o.plan.kubeContext, "context", "", "context of the kubeconfig")
	f.StringVar(&o.plan.schedulerConfig, "scheduler-config", "", "KubeSchedulerConfiguration whose profiles are Slipway's; by default the profile slipway-scheduler, which filters as kube-scheduler does")
	f.StringVar(&o.plan.catalog, "catalog", "", "CSV file of instance types and prices to plan with; see slipway plan")
	f.BoolVar(&o.plan.live, "live", false, "plan with what AWS offers at the moment; credentials and region come from the environment")
	f.StringVar(&o.plan.clusterName, "cluster-name", "", "with --live: name that the subnets are tagged with")
	f.IntVar(&o.plan.verbosity, "v", 0, "log level of the scheduler's code; 0 for none")
	return cmd
}

// subject reads what is to be explained, and sets the namespace.
func (o *explainOptions) subject(args []string) (kind, name string, err error) {
	wrong := func(format string, args ...any) (string, string, error) {
		return "", "", fmt.Errorf("%w: %s; see slipway explain --help", input.ErrWrong, fmt.Sprintf(format, args...))
	}
	if !slices.Contains([]string{"text", "json"}, o.output) {
		return wrong("-o %s is neither text nor json", o.output)
	}
	if contradictions := o.plan.wrongPrices(); len(contradictions) > 0 {
		return wrong("%s", strings.Join(contradictions, "; "))
	}
	if len(args) == 1 { // as kubectl has it: pod/web-0
		if kind, name, found := strings.Cut(args[0], "/"); found {
			args = []string{kind, name}
		}
	}
	if len(args) != 2 {
		return wrong("name one pod, node or nodeclaim, such as pod shop/web-0")
	}
	kinds := map[string]string{
		"pod": "pod", "pods": "pod", "po": "pod", "node": "node", "nodes": "node", "no": "node",
		"nodeclaim": "nodeclaim", "nodeclaims": "nodeclaim", "nc": "nodeclaim",
	}
	kind, name = kinds[strings.ToLower(args[0])], args[1]
	if kind == "" {
		return wrong("%q is none of pod, node and nodeclaim", args[0])
	}
	if namespace, pod, found := strings.Cut(name, "/"); found && kind == "pod" {
		if o.plan.namespace != "" && o.plan.namespace != namespace {
			return wrong("-n %s is not the namespace of pod %s", o.plan.namespace, name)
		}
		o.plan.namespace, name = namespace, pod
	}
	if name == "" || strings.Contains(name, "/") {
		return wrong("%q is no name of a %s", args[1], kind)
	}
	return kind, name, nil
}

// explain reads what there is around the object, and explains it. The notes say what could not
// be read.
func (o *explainOptions) explain(ctx context.Context, kind, name string) (*explain.Explanation, []string, error) {
	profiles, err := schedulerProfiles(o.plan.schedulerConfig)
	if err != nil {
		return nil, nil, err
	}
	cluster, err := live.Connect(o.plan.kubeconfig, o.plan.kubeContext)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	switch kind {
	case "pod":
		return o.explainPod(ctx, cluster, profiles, name)
	case "node":
		scene, claim, err := cluster.NodeScene(ctx, name, time.Now())
		switch {
		case err != nil:
			return nil, nil, err
		case claim != nil: // of a node that is on its way
			return explain.NodeClaim(scene, claim), scene.Notes, nil
		default:
			return explain.Node(scene), scene.Notes, nil
		}
	default:
		scene, claim, err := cluster.ClaimScene(ctx, name, time.Now())
		if err != nil {
			return nil, nil, err
		}
		return explain.NodeClaim(scene, claim), scene.Notes, nil
	}
}

// explainPod plans for the pod, too, where it waits without a place.
func (o *explainOptions) explainPod(ctx context.Context, cluster *live.Cluster, profiles []schedulerconfig.KubeSchedulerProfile, name string) (*explain.Explanation, []string, error) {
	o.plan.namespace = cmp.Or(o.plan.namespace, cluster.Namespace)
	scene, pod, err := cluster.PodScene(ctx, o.plan.namespace, name, time.Now())
	if err != nil {
		return nil, nil, err
	}
	profile := &profiles[0]
	scene.Schedulers = []string{defaultScheduler}
	if o.plan.schedulerConfig != "" {
		scene.Schedulers = nil
		for i := range profiles {
			scene.Schedulers = append(scene.Schedulers, profiles[i].SchedulerName)
			if profiles[i].SchedulerName == pod.Spec.SchedulerName {
				profile = &profiles[i]
			}
		}
	}
	e := explain.Pod(scene, pod)
	if e.Undecided() {
		p, err := planFor(ctx, &o.plan, profile, nil, func(p *corev1.Pod) bool { return p.UID == pod.UID })
		if err := scene.WithoutRight(err, "plans for the pod"); err != nil {
			return nil, nil, fmt.Errorf("plan for pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if p != nil && p.result.Pods == 1 { // else it has been bound meanwhile
			e.AddPlan(p.result, o.plan.prices())
		}
	}
	return e, scene.Notes, nil
}

func (o *explainOptions) print(w io.Writer, e *explain.Explanation) error {
	if o.output == "json" {
		return e.JSON(w)
	}
	return e.Text(w, terminalWidth())
}
