package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	kubeschedulerconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	configv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"

	"github.com/slipway-dev/slipway/plugin/config"
)

const minimal = `
launcherAddress: launcher:8443
tls: {certFile: tls.crt, keyFile: tls.key, caFile: ca.crt}
`

func TestLoad(t *testing.T) {
	seconds := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }
	defaulted := config.SlipwayArgs{
		LauncherAddress: "launcher:8443",
		TLS:             config.TLS{CertFile: "tls.crt", KeyFile: "tls.key", CAFile: "ca.crt"},
		Order:           config.LaunchFirst,
		RequestTimeout:  seconds(10),
		TTL: config.TTL{
			Waiting: seconds(60), Planned: seconds(60), Launched: seconds(1200), Ready: seconds(120), Refused: seconds(300),
		},
	}
	with := func(change func(*config.SlipwayArgs)) *config.SlipwayArgs {
		args := defaulted
		change(&args)
		return &args
	}
	for _, tc := range []struct {
		name string
		args string
		want *config.SlipwayArgs
		err  string
	}{
		{name: "defaults", args: minimal, want: &defaulted},
		{
			name: "everything",
			args: minimal + "order: PreemptFirst\norderByPriorityClass: {batch: NeverLaunch}\nlaunchDelay: 30s\nrequestTimeout: 3s\nttl: {waiting: 5s, ready: 1m}\n",
			want: with(func(a *config.SlipwayArgs) {
				a.Order, a.OrderByPriorityClass = config.PreemptFirst, map[string]config.Order{"batch": config.NeverLaunch}
				a.LaunchDelay = seconds(30)
				a.RequestTimeout, a.TTL.Waiting, a.TTL.Ready = seconds(3), seconds(5), seconds(60)
			}),
		},
		{name: "unknown field", args: minimal + "launcherAdress: x\n", err: `unknown field "launcherAdress"`},
		{name: "unknown nested field", args: minimal + "ttl: {redy: 1m}\n", err: `unknown field "ttl.redy"`},
		{name: "duplicate field", args: minimal + "order: LaunchFirst\norder: LaunchFirst\n", err: `"order" already set`},
		{name: "wrong type", args: minimal + "requestTimeout: [1]\n", err: "json: cannot unmarshal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := load(t, tc.args)
			if msg := errorText(err); tc.err == "" && err != nil || !strings.Contains(msg, tc.err) {
				t.Fatalf("error is %q, want %q", msg, tc.err)
			}
			if got != nil {
				got.TypeMeta = metav1.TypeMeta{}
			}
			if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*config.SlipwayArgs)
		want   string
	}{
		{name: "good", change: func(*config.SlipwayArgs) {}},
		{name: "no address", change: func(a *config.SlipwayArgs) { a.LauncherAddress = "" },
			want: "args.launcherAddress: Required value: the launcher's address"},
		{name: "no certificate", change: func(a *config.SlipwayArgs) { a.TLS.CertFile = "" },
			want: "args.tls.certFile: Required value: the launcher accepts no caller without a certificate"},
		{name: "another order", change: func(a *config.SlipwayArgs) { a.Order = "BuyFirst" },
			want: `args.order: Unsupported value: "BuyFirst": supported values: "LaunchFirst", "PreemptFirst", "NeverLaunch"`},
		{name: "another order of a class", change: func(a *config.SlipwayArgs) { a.OrderByPriorityClass = map[string]config.Order{"low": "Never"} },
			want: `args.orderByPriorityClass[low]: Unsupported value: "Never": supported values: "LaunchFirst", "PreemptFirst", "NeverLaunch"`},
		{name: "a negative delay", change: func(a *config.SlipwayArgs) { a.LaunchDelay.Duration = -time.Second },
			want: `args.launchDelay: Invalid value: "-1s": must not be negative`},
		{name: "a negative time", change: func(a *config.SlipwayArgs) { a.TTL.Ready.Duration = -1 },
			want: `args.ttl.ready: Invalid value: "-1ns": must be longer than 0s`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := &config.SlipwayArgs{
				LauncherAddress: "launcher:8443", TLS: config.TLS{CertFile: "a", KeyFile: "b", CAFile: "c"},
			}
			config.SetDefaults(args)
			tc.change(args)
			if diff := cmp.Diff(tc.want, errorText(config.Validate(field.NewPath("args"), args))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShippedConfiguration reads the configurations that the chart installs, by default and
// with all values set.
func TestShippedConfiguration(t *testing.T) {
	for values, order := range map[string]config.Order{"default": config.LaunchFirst, "full": config.PreemptFirst} {
		t.Run(values, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("..", "..", "manifests", "rendered", values, "scheduler.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := decode(t, data)
			if err != nil {
				t.Fatal(err)
			}
			if err := validation.ValidateKubeSchedulerConfiguration(cfg); err != nil {
				t.Fatal(err)
			}
			profile := cfg.Profiles[0]
			var postFilter []string
			for _, p := range profile.Plugins.PostFilter.Enabled {
				postFilter = append(postFilter, p.Name)
			}
			if diff := cmp.Diff([]string{"Slipway", "DefaultPreemption"}, postFilter); diff != "" {
				t.Errorf("postFilter (-want +got):\n%s", diff)
			}
			args := slipwayArgs(t, cfg)
			if err := config.Validate(field.NewPath("args"), args); err != nil {
				t.Error(err)
			}
			if args.Order != order {
				t.Errorf("order is %s, want %s", args.Order, order)
			}
		})
	}
}

func load(t *testing.T, args string) (*config.SlipwayArgs, error) {
	t.Helper()
	cfg, err := decode(t, []byte(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: slipway-scheduler
  plugins: {multiPoint: {enabled: [{name: Slipway}]}}
  pluginConfig:
  - name: Slipway
    args: `+strings.ReplaceAll(args, "\n", "\n      ")))
	if err != nil {
		return nil, err
	}
	// The scheduler converts the configuration back to v1 when it starts, to show it.
	if err := configv1.Convert_config_KubeSchedulerConfiguration_To_v1_KubeSchedulerConfiguration(
		cfg.DeepCopy(), &kubeschedulerv1.KubeSchedulerConfiguration{}, nil); err != nil {
		t.Errorf("converting to v1: %v", err)
	}
	return slipwayArgs(t, cfg), nil
}

func slipwayArgs(t *testing.T, cfg *kubeschedulerconfig.KubeSchedulerConfiguration) *config.SlipwayArgs {
	t.Helper()
	for _, pc := range cfg.Profiles[0].PluginConfig {
		if pc.Name == "Slipway" {
			args, err := config.FromObject(pc.Args)
			if err != nil {
				t.Fatal(err)
			}
			return args
		}
	}
	t.Fatal("no args for the plugin Slipway")
	return nil
}

// decode reads a configuration as cmd/kube-scheduler/app/options/configfile.go does, but
// in a scheme of its own.
func decode(t *testing.T, data []byte) (*kubeschedulerconfig.KubeSchedulerConfiguration, error) {
	t.Helper()
	s := runtime.NewScheme()
	scheme.AddToScheme(s)
	for _, s := range []*runtime.Scheme{s, configv1.GetPluginArgConversionScheme()} {
		if err := config.AddToScheme(s); err != nil {
			t.Fatal(err)
		}
	}
	obj, _, err := serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		return nil, err
	}
	cfg, ok := obj.(*kubeschedulerconfig.KubeSchedulerConfiguration)
	if !ok {
		t.Fatalf("decoded %T", obj)
	}
	cfg.APIVersion = "kubescheduler.config.k8s.io/v1"
	return cfg, nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
