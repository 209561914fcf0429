package workload_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/manifest"
	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

func objects(t *testing.T, text string) *workload.Objects {
	t.Helper()
	r, err := manifest.Read([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r.Objects
}

const containers = "containers: [{name: a, image: a}]"

// template is the part of a workload's spec that its pods are made of.
const template = "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {" + containers + "}}"

// deployment is named web.
func deployment(replicas int) string {
	return fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: %d, %s}\n", replicas, template)
}

func replicaSet(name, owner string, replicas int) string {
	refs := ""
	if owner != "" {
		refs = ", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: " + owner + ", uid: u, controller: true}]"
	}
	return fmt.Sprintf("---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: %s%s}\nspec: {replicas: %d, %s}\n", name, refs, replicas, template)
}

func job(kind, name, owner, spec, status string) string {
	refs := ""
	if owner != "" {
		refs = ", ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: " + owner + ", uid: u, controller: true}]"
	}
	body := "{" + spec + "template: {spec: {restartPolicy: Never, " + containers + "}}}"
	if kind == "CronJob" {
		body = "{schedule: '@daily', jobTemplate: {spec: " + body + "}}"
	}
	return fmt.Sprintf("---\napiVersion: batch/v1\nkind: %s\nmetadata: {name: %s%s}\nspec: %s\n%s\n", kind, name, refs, body, status)
}

// statefulSet is named db.
func statefulSet(spec string) string {
	return "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {serviceName: x, " + spec + template + "}\n"
}

// pod of an owner such as "ReplicaSet/web-123", where there is one.
func pod(name, owner, labels, rest string) string {
	refs := ""
	if kind, of, ok := strings.Cut(owner, "/"); ok {
		refs = ", ownerReferences: [{apiVersion: x/v1, kind: " + kind + ", name: " + of + ", uid: u, controller: true}]"
	}
	return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {" + labels + "}" + refs + "}\nspec: {" + rest + containers + "}\n"
}

func TestWaiting(t *testing.T) {
	const node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
	const onNode = "nodeName: n1, "
	const ended = "status: {phase: Succeeded}\n"
	for _, tt := range []struct {
		name, text string
		want       []string // owners, with the number of waiting pods
	}{
		{"a pod", pod("a", "", "", ""), []string{"1 pod/a"}},
		{"ended pods", pod("a", "", "", "") + ended, nil},
		{"a pod on a node", node + pod("a", "", "", onNode), nil},
		{"a Deployment", deployment(3), []string{"3 deployment/web"}},
		{"a Deployment and its ReplicaSet", deployment(3) + replicaSet("web-1", "web", 3), []string{"3 deployment/web"}},
		{"the ReplicaSet of a Deployment that is not there", replicaSet("web-1", "web", 3), []string{"3 deployment/web"}},
		{"a ReplicaSet", replicaSet("rs", "", 2), []string{"2 replicaset/rs"}},
		{"a Deployment some of whose pods live", node + deployment(3) +
			pod("web-1-a", "ReplicaSet/web-1", "pod-template-hash: '1'", onNode) + pod("web-1-b", "ReplicaSet/web-1", "pod-template-hash: '1'", ""),
			[]string{"2 deployment/web"}},
		{"more pods than replicas", deployment(1) + pod("web-1-a", "ReplicaSet/web-1", "pod-template-hash: '1'", "") +
			pod("web-1-b", "ReplicaSet/web-1", "pod-template-hash: '1'", ""), []string{"2 deployment/web"}},
		{"a live pod that ended does not count", deployment(1) + pod("web-1-a", "ReplicaSet/web-1", "pod-template-hash: '1'", "") + ended,
			[]string{"1 deployment/web"}},
		{"a pod of another namespace's Deployment", deployment(1) +
			strings.Replace(pod("web-1-a", "ReplicaSet/web-1", "pod-template-hash: '1'", ""), "{name: web-1-a", "{namespace: other, name: web-1-a", 1),
			[]string{"2 deployment/web"}},
		{"a live ReplicaSet tells its pods' Deployment", deployment(2) + replicaSet("odd", "web", 2) + pod("odd-a", "ReplicaSet/odd", "", ""),
			[]string{"2 deployment/web"}},
		{"a StatefulSet", statefulSet("replicas: 3, "), []string{"3 statefulset/db"}},
		{"a StatefulSet one pod of which lives", node + statefulSet("replicas: 3, ") + pod("db-1", "StatefulSet/db", "", onNode), []string{"2 statefulset/db"}},
		{"a Job", job("Job", "load", "", "", ""), []string{"1 job/load"}},
		{"a parallel Job", job("Job", "load", "", "parallelism: 5, completions: 8, ", ""), []string{"5 job/load"}},
		{"no more pods than completions", job("Job", "load", "", "parallelism: 5, completions: 2, ", ""), []string{"2 job/load"}},
		{"a Job that is half done", job("Job", "load", "", "parallelism: 5, completions: 8, ", "status: {succeeded: 6}"), []string{"2 job/load"}},
		{"a Job that is done", job("Job", "load", "", "", "status: {conditions: [{type: Complete, status: 'True'}]}"), nil},
		{"a suspended Job", job("Job", "load", "", "suspend: true, ", ""), nil},
		{"a CronJob", job("CronJob", "daily", "", "", ""), []string{"1 cronjob/daily"}},
		{"a CronJob and its Job", job("CronJob", "daily", "", "", "") + job("Job", "daily-1", "daily", "", ""), []string{"1 cronjob/daily"}},
		{"a CronJob, its Job and that one's pod", job("CronJob", "daily", "", "", "") + job("Job", "daily-1", "daily", "", "") + pod("daily-1-x", "Job/daily-1", "", ""),
			[]string{"1 cronjob/daily"}},
		{"a DaemonSet's pod", pod("agent-x", "DaemonSet/agent", "", ""), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := workload.New(objects(t, tt.text))
			counts := map[string]int{}
			for _, p := range w.Waiting {
				counts[w.Owners[workload.Key(p)]]++
			}
			var got []string
			for owner, n := range counts {
				got = append(got, fmt.Sprintf("%d %s", n, owner))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("waiting (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesAndOrder(t *testing.T) {
	w := workload.New(objects(t, pod("b", "", "", "")+statefulSet("replicas: 2, ordinals: {start: 5}, ")+
		job("Job", "load", "", "", "")+pod("a", "", "", "")))
	var got []string
	for _, p := range w.Waiting {
		got = append(got, workload.Key(p))
		if p.UID == "" {
			t.Errorf("%s has no UID", p.Name)
		}
	}
	if diff := cmp.Diff([]string{"default/b", "default/a", "default/db-5", "default/db-6", "default/load-0"}, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	web := workload.New(objects(t, deployment(2))).Waiting
	hash := web[0].Labels["pod-template-hash"]
	if hash == "" || web[0].Name != "web-"+hash+"-0" || web[1].Name != "web-"+hash+"-1" || web[0].Labels["a"] != "b" {
		t.Errorf("pods %s and %s with labels %v", web[0].Name, web[1].Name, web[0].Labels)
	}
}

func TestPodsOfTemplatesAreDefaulted(t *testing.T) {
	limits := strings.ReplaceAll(deployment(1), "image: a", "image: a, resources: {limits: {cpu: 2}}")
	o := objects(t, limits+strings.NewReplacer("Deployment", "DaemonSet", "replicas: 1, ", "", "name: web", "name: agent").Replace(limits))
	w := workload.New(o)
	if got := w.Waiting[0].Spec.Containers[0].Resources.Requests.Cpu().Value(); got != 2 {
		t.Errorf("the Deployment's pod requests %d cpu, want its limit", got)
	}
	if got := o.DaemonSets[0].Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().Value(); got != 2 {
		t.Errorf("the DaemonSet's pods request %d cpu, want their limit", got)
	}
}

func TestPriorities(t *testing.T) {
	class := func(name, rest string) string {
		return "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: " + name + "}\n" + rest + "\n"
	}
	o := objects(t, class("high", "value: 1000")+class("normal", "value: 10\nglobalDefault: true")+
		pod("a", "", "", "priorityClassName: high, ")+pod("b", "", "", "")+pod("c", "", "", "priorityClassName: system-node-critical, ")+
		pod("d", "", "", "priorityClassName: lost, ")+pod("e", "", "", "priority: 7, "))
	w := workload.New(o)
	var got []string
	for _, p := range w.Waiting {
		priority := "none"
		if p.Spec.Priority != nil {
			priority = fmt.Sprint(*p.Spec.Priority)
		}
		got = append(got, p.Name+" "+priority)
	}
	if diff := cmp.Diff([]string{"a 1000", "b 10", "c 2000001000", "d none", "e 7"}, got); diff != "" {
		t.Errorf("priorities (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"PriorityClass lost of 1 pods is not among the input; their priority is taken as 0"}, w.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestStorage(t *testing.T) {
	claim := func(name, spec string) string {
		return "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: " + name + "}\nspec: {accessModes: [ReadWriteOnce], " + spec +
			"resources: {requests: {storage: 1Gi}}}\n"
	}
	volume := func(name, spec string) string {
		return "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {name: " + name + "}\nspec: {accessModes: [ReadWriteOnce], " + spec +
			"capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}\n"
	}
	class := "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}\nprovisioner: p\n"
	o := objects(t, class+claim("by-name", "volumeName: v1, ")+claim("by-volume", "")+claim("default", "")+claim("other", "storageClassName: slow, ")+
		volume("v1", "")+volume("v2", "claimRef: {namespace: default, name: by-volume}, ")+volume("v3", "")+
		statefulSet("volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}], "))
	w := workload.New(o)
	var got []string
	for _, c := range o.PersistentVolumeClaims {
		class := ""
		if c.Spec.StorageClassName != nil {
			class = *c.Spec.StorageClassName
		}
		got = append(got, fmt.Sprintf("%s volume=%s class=%s phase=%s", c.Name, c.Spec.VolumeName, class, c.Status.Phase))
	}
	if diff := cmp.Diff([]string{
		"by-name volume=v1 class= phase=Bound", "by-volume volume=v2 class= phase=Bound", "default volume= class=fast phase=Pending",
		"other volume= class=slow phase=Pending", "data-db-0 volume= class=fast phase=Pending",
	}, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if phase := o.PersistentVolumes[2].Status.Phase; phase != corev1.VolumeAvailable {
		t.Errorf("the free volume is %s", phase)
	}
	if len(o.StorageClasses) != 2 || o.StorageClasses[1].Name != "slow" || len(w.Notes) != 1 || !strings.Contains(w.Notes[0], "slow") {
		t.Errorf("classes %v, notes %q", o.StorageClasses, w.Notes)
	}
	if v := w.Waiting[0].Spec.Volumes[0]; v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != "data-db-0" {
		t.Errorf("the StatefulSet's pod has volume %+v", v)
	}
}

func TestOverlay(t *testing.T) {
	cluster := objects(t, pod("a", "", "from: cluster", "")+pod("b", "", "from: cluster", ""))
	cluster.Overlay(objects(t, pod("b", "", "from: file", "")+pod("c", "", "from: file", "")))
	var got []string
	for _, p := range cluster.Pods {
		got = append(got, p.Name+" "+p.Labels["from"])
	}
	if diff := cmp.Diff([]string{"a cluster", "b file", "c file"}, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

func TestPodsElsewhere(t *testing.T) {
	w := workload.New(objects(t, pod("a", "", "", "nodeName: gone, ")))
	if len(w.Waiting) != 0 || len(w.Running) != 0 || len(w.Notes) != 1 {
		t.Errorf("%d waiting, running %v, notes %q", len(w.Waiting), w.Running, w.Notes)
	}
}
