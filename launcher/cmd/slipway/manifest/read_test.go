package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/input"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
)

// read reads a text from standard input.
func read(t *testing.T, text string) *manifest.Result {
	t.Helper()
	r, err := manifest.Read([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// summary lists the objects by kind.
func summary(r *manifest.Result) map[string][]string {
	all := map[string][]string{}
	o := r.Objects
	add := func(kind, namespace, name string) {
		all[kind] = append(all[kind], strings.TrimPrefix(namespace+"/"+name, "/"))
	}
	for _, p := range o.Pods {
		add("Pod", p.Namespace, p.Name)
	}
	for _, n := range o.Nodes {
		add("Node", "", n.Name)
	}
	for _, n := range o.Namespaces {
		add("Namespace", "", n.Name)
	}
	for _, v := range o.PersistentVolumes {
		add("PersistentVolume", "", v.Name)
	}
	for _, c := range o.PersistentVolumeClaims {
		add("PersistentVolumeClaim", c.Namespace, c.Name)
	}
	for _, c := range o.Controllers() {
		add(strings.TrimPrefix(fmt.Sprintf("%T", c), "*v1."), c.GetNamespace(), c.GetName())
	}
	for _, c := range o.StorageClasses {
		add("StorageClass", "", c.Name)
	}
	for _, c := range o.CSINodes {
		add("CSINode", "", c.Name)
	}
	for _, c := range o.PriorityClasses {
		add("PriorityClass", "", c.Name)
	}
	for _, p := range o.NodePools {
		add("NodePool", "", p.Name)
	}
	for _, c := range o.NodeClasses {
		add("EC2NodeClass", "", c.Name)
	}
	return all
}

const podSpec = `spec: {containers: [{name: a, image: a}]}`

func TestKinds(t *testing.T) {
	const template = `template: {metadata: {labels: {a: b}}, ` + podSpec + `}`
	const job = `template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}`
	for _, tt := range []struct{ kind, text, want string }{
		{"Pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n" + podSpec, "default/x"},
		{"Pod", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n" + podSpec, "default/x-generated"},
		{"Pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: sketch}\nspec: {containers: [{resources: {requests: {cpu: 1}}}]}", "default/sketch"},
		{"Node", "apiVersion: v1\nkind: Node\nmetadata: {name: x}", "x"},
		{"Namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}", "x"},
		{"PersistentVolume", "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], csi: {driver: d, volumeHandle: h}}", "x"},
		{"PersistentVolumeClaim", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x, namespace: ns}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}", "ns/x"},
		{"Deployment", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, " + template + "}", "default/x"},
		{"ReplicaSet", "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, " + template + "}", "default/x"},
		{"StatefulSet", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {serviceName: x, selector: {matchLabels: {a: b}}, " + template + "}", "default/x"},
		{"DaemonSet", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, " + template + "}", "default/x"},
		{"Job", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {" + job + "}", "default/x"},
		{"CronJob", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec: {schedule: '@daily', jobTemplate: {spec: {" + job + "}}}", "default/x"},
		{"StorageClass", "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: x}\nprovisioner: p", "x"},
		{"CSINode", "apiVersion: storage.k8s.io/v1\nkind: CSINode\nmetadata: {name: x}\nspec: {drivers: []}", "x"},
		{"PriorityClass", "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: x}\nvalue: 5", "x"},
		{"NodePool", "apiVersion: slipway.dev/v1alpha1\nkind: NodePool\nmetadata: {name: x}", "x"},
		{"EC2NodeClass", "apiVersion: slipway.dev/v1alpha1\nkind: EC2NodeClass\nmetadata: {name: x}\nspec: {amiSelectorTerms: [{alias: al2023@latest}]}", "x"},
	} {
		t.Run(tt.kind+" "+tt.want, func(t *testing.T) {
			if diff := cmp.Diff(map[string][]string{tt.kind: {tt.want}}, summary(read(t, tt.text))); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForms(t *testing.T) {
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\n" + podSpec + "\n"
	}
	const podJSON = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"a"}]}}`
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"documents", pod("a") + "---\n" + pod("b") + "---   # nothing\n---\n", []string{"default/a", "default/b"}},
		{"comments first", "# about a\n---\n# more\n" + pod("a"), []string{"default/a"}},
		{"content beside the separator", "--- {apiVersion: v1, kind: Pod, metadata: {name: a}, " + podSpec + "}\n", []string{"default/a"}},
		{"Windows lines", strings.ReplaceAll(pod("a")+"---\n"+pod("b"), "\n", "\r\n"), []string{"default/a", "default/b"}},
		{"JSON", podJSON, []string{"default/a"}},
		{"JSON with tabs", strings.ReplaceAll(podJSON, ",", ",\n\t\t"), []string{"default/a"}},
		{"List", `{"apiVersion":"v1","kind":"List","items":[` + podJSON + `]}`, []string{"default/a"}},
		{"PodList", "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  " + podSpec, []string{"default/a"}},
		{"empty List", "apiVersion: v1\nkind: List\nitems: []", nil},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, summary(read(t, tt.text))["Pod"]); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	o := read(t, `
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: a, image: a, resources: {limits: {cpu: 2, nvidia.com/gpu: 1}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: a}
provisioner: p
---
apiVersion: v1
kind: Node
metadata: {name: a}
status: {capacity: {cpu: 4}}
---
apiVersion: slipway.dev/v1alpha1
kind: NodePool
metadata: {name: a}
spec: {template: {spec: {nodeClassRef: {name: c}}}}
`).Objects
	if got := o.Pods[0].Spec.Containers[0].Resources.Requests; got.Cpu().Value() != 2 || len(got) != 2 {
		t.Errorf("requests are %v, want the limits", got)
	}
	if got := o.Deployments[0].Spec.Replicas; got == nil || *got != 1 {
		t.Errorf("replicas are %v, want 1", got)
	}
	if got := o.StorageClasses[0].VolumeBindingMode; got == nil || *got != "Immediate" {
		t.Errorf("binding mode is %v, want Immediate", got)
	}
	if got := o.Nodes[0].Status.Allocatable.Cpu().Value(); got != 4 {
		t.Errorf("allocatable is %d cpu, want the capacity", got)
	}
	pool := o.NodePools[0].Spec
	if pool.Template.Spec.ExpireAfter != "Never" || pool.Template.Spec.NodeClassRef.Kind != "EC2NodeClass" || len(pool.Disruption.Budgets) != 1 {
		t.Errorf("the NodePool has not its schema's defaults: %+v", pool)
	}
}

func TestStatusIsKept(t *testing.T) {
	o := read(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a, uid: u}\nspec: {nodeName: node, containers: [{name: a, image: a}]}\nstatus: {phase: Succeeded}\n").Objects
	if p := o.Pods[0]; p.Status.Phase != "Succeeded" || p.UID != "u" || p.Spec.NodeName != "node" {
		t.Errorf("pod is %+v", p)
	}
}

func TestIgnored(t *testing.T) {
	r := read(t, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\n---\n"+
		"apiVersion: slipway.dev/v1alpha1\nkind: NodeClaim\nmetadata: {name: a}\n---\napiVersion: example.com/v1\nkind: Widget\nspec: {anything: 1}\n---\napiVersion: extensions/v1beta1\nkind: Deployment\n")
	if diff := cmp.Diff(map[string]int{"Service": 2, "NodeClaim": 1, "Widget": 1, "Deployment of extensions/v1beta1": 1}, r.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

// TestErrors reads testdata/errors/*.yaml and *.json and compares what is said with the
// *.txt beside each.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.[yj]*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := manifest.Read([]string{file}, nil)
			if !errors.Is(err, input.ErrWrong) {
				t.Fatalf("error %v, want ErrWrong", err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/errors/", "") + "\n"
			golden := strings.TrimSuffix(file, filepath.Ext(file)) + ".txt"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\n" + podSpec + "\n"
	}
	for name, text := range map[string]string{
		"b.yaml": pod("b"), "a.yml": pod("a"), "sub/c.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"},"spec":{"containers":[{"name":"a","image":"a"}]}}`,
		"notes.txt": "not a manifest: [",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	empty := t.TempDir()
	for _, tt := range []struct {
		name  string
		paths []string
		want  []string
		err   string
	}{
		{name: "a directory", paths: []string{dir}, want: []string{"default/a", "default/b", "default/c"}},
		{name: "files", paths: []string{dir + "/b.yaml", dir + "/a.yml"}, want: []string{"default/b", "default/a"}},
		{name: "missing", paths: []string{dir + "/d.yaml"}, err: "wrong input: -f " + dir + "/d.yaml: no such file or directory"},
		{name: "empty directory", paths: []string{empty}, err: "no *.yaml, *.yml or *.json file below this directory"},
		{name: "twice", paths: []string{dir + "/b.yaml", dir}, err: "b.yaml:1: Pod default/b: is given twice, first at " + dir + "/b.yaml:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := manifest.Read(tt.paths, nil)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, input.ErrWrong) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, summary(r)["Pod"]); diff != "" {
				t.Errorf("pods (-want +got):\n%s", diff)
			}
		})
	}
}
