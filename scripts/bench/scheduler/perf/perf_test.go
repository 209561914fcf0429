package perf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	configv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	harness "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/ktesting"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/plugin"
	"github.com/slipway-dev/slipway/plugin/config"
	"github.com/slipway-dev/slipway/plugin/courier/launchertest"
)

var (
	profile   = flag.String("profile", "stock", "stock, tuned (stock with our settings of stock plugins) or slipway")
	workload  = flag.String("workload", "", "name of the one workload to run; all when empty")
	shipped   = flag.String("shipped-config", "../../../../manifests/rendered/default/scheduler.yaml", "the configuration that slipway-scheduler is installed with")
	workloads = flag.String("workloads", "testdata/workloads.yaml", "the workloads, without scheduler configuration")
)

func TestMain(m *testing.M) {
	if err := harness.InitTests(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// BenchmarkPerfScheduling runs workloads with one profile. The plugin is made once in a
// process, so slipway runs one workload.
func BenchmarkPerfScheduling(b *testing.B) {
	var options []harness.SchedulerPerfOption
	registry := frameworkruntime.Registry{}
	configFile := ""
	switch *profile {
	case "stock":
	case "tuned":
		configFile = writeProfile(b, func(p map[string]any) {
			delete(p, "plugins")
			p["pluginConfig"] = withoutSlipway(p["pluginConfig"].([]any))
		})
	case "slipway":
		for _, s := range []*runtime.Scheme{scheme.Scheme, configv1.GetPluginArgConversionScheme()} {
			if err := config.AddToScheme(s); err != nil {
				b.Fatal(err)
			}
		}
		var builder plugin.Builder
		registry[plugin.Name] = builder.New
		// The harness starts the scheduler before it lets anyone near it. When nodes are
		// made there is no pod yet, and the scheduling loop waits for one.
		options = append(options, harness.WithNodeUpdateFn(func(_ ktesting.TContext, sched *scheduler.Scheduler, _ *harness.Workload, _ *v1.NodeList) error {
			return builder.Attach(sched)
		}))
		configFile = writeProfile(b, startLauncher(b))
	default:
		b.Fatalf("unknown profile %q", *profile)
	}
	harness.RunBenchmarkPerfScheduling(b, writeWorkloads(b, configFile), "slipway", registry, options...)
}

// startLauncher runs a launcher that takes every pod and buys nothing, and returns what
// has the plugin call it.
func startLauncher(b *testing.B) func(profile map[string]any) {
	authority := launchertest.NewAuthority(b)
	launcher := launchertest.New(b, authority)
	launcher.Start()
	files := authority.WriteFiles(b.TempDir())
	return func(profile map[string]any) {
		for _, p := range profile["pluginConfig"].([]any) {
			if pc := p.(map[string]any); pc["name"] == plugin.Name {
				args := pc["args"].(map[string]any)
				args["launcherAddress"] = launcher.Address()
				args["tls"] = map[string]any{
					"certFile": files.Cert, "keyFile": files.Key, "caFile": files.CA, "serverName": files.ServerName,
				}
			}
		}
	}
}

// writeProfile writes the shipped configuration with one change, for the pods of the
// harness, which name no scheduler.
func writeProfile(b *testing.B, change func(profile map[string]any)) string {
	var object map[string]any
	readYAML(b, *shipped, &object)
	profiles, _, err := unstructured.NestedSlice(object, "profiles")
	if err != nil || len(profiles) != 1 {
		b.Fatalf("%s: want one profile: %v", *shipped, err)
	}
	p := profiles[0].(map[string]any)
	p["schedulerName"] = v1.DefaultSchedulerName
	change(p)
	object["profiles"] = profiles
	return writeYAML(b, "scheduler.yaml", object)
}

func withoutSlipway(pluginConfig []any) []any {
	var rest []any
	for _, p := range pluginConfig {
		if p.(map[string]any)["name"] != plugin.Name {
			rest = append(rest, p)
		}
	}
	return rest
}

// writeWorkloads writes the workloads to run, with the scheduler's configuration in each.
func writeWorkloads(b *testing.B, configFile string) string {
	var all, wanted []map[string]any
	readYAML(b, *workloads, &all)
	for _, w := range all {
		if *workload != "" && w["name"] != *workload {
			continue
		}
		if configFile != "" {
			w["schedulerConfigPath"] = configFile
		}
		wanted = append(wanted, w)
	}
	if len(wanted) == 0 {
		b.Fatalf("no workload is named %q", *workload)
	}
	return writeYAML(b, "workloads.yaml", wanted)
}

func readYAML(b *testing.B, file string, into any) {
	raw, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(raw, into)
	}
	if err != nil {
		b.Fatalf("%s: %v", file, err)
	}
}

func writeYAML(b *testing.B, name string, object any) string {
	raw, err := yaml.Marshal(object)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}
