package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// manifest of all that the chart installs by default, but for Secrets.
func (s *Stack) shipped() ([]*unstructured.Unstructured, error) {
	return Read(s.manifest("rendered", "default", "slipway.yaml"))
}

// grant gives the daemons the rights that the chart gives them.
func (s *Stack) grant(ctx context.Context) error {
	objects, err := s.shipped()
	if err != nil {
		return err
	}
	return Apply(ctx, s.Client, slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() != "ServiceAccount" && o.GroupVersionKind().Group != "rbac.authorization.k8s.io"
	})...)
}

// find reads one of the shipped objects.
func (s *Stack) find(kind, name string, into any) error {
	objects, err := s.shipped()
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into)
		}
	}
	return fmt.Errorf("the chart ships no %s %s", kind, name)
}

// Names of the daemons' Deployments and of the ConfigMaps that hold their configuration.
const (
	launcherDaemon  = "slipway-launcher"
	schedulerDaemon = "slipway-scheduler"
)

// container is a daemon's as its Deployment describes it, to be run as a process: with a
// directory of this machine for each mount, and everything that names a mount naming that.
type container struct {
	args, env []string
	ready     string // path of the startup probe
}

// container makes the directories under root and fills them: with the contents of ConfigMaps that
// are given by name, and with the certificates.
func (s *Stack) container(daemon, root string, configs map[string]string) (*container, error) {
	var d appsv1.Deployment
	if err := s.find("Deployment", daemon, &d); err != nil {
		return nil, err
	}
	pod := d.Spec.Template.Spec
	spec := pod.Containers[0]
	var renames []string
	for _, m := range spec.VolumeMounts {
		renames = append(renames, m.MountPath, filepath.Join(root, m.MountPath))
	}
	local := strings.NewReplacer(renames...)
	for _, m := range spec.VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if err := s.fill(local.Replace(m.MountPath), &pod.Volumes[i], configs, local); err != nil {
			return nil, fmt.Errorf("volume %s of %s: %w", m.Name, daemon, err)
		}
	}
	c := &container{ready: spec.StartupProbe.HTTPGet.Path}
	for _, arg := range spec.Args {
		c.args = append(c.args, local.Replace(arg))
	}
	for _, e := range spec.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			if from.ResourceFieldRef == nil || from.ResourceFieldRef.Resource != "limits.memory" {
				return nil, fmt.Errorf("variable %s of %s: nothing is known of its source", e.Name, daemon)
			}
			value = fmt.Sprint(spec.Resources.Limits.Memory().Value())
		}
		c.env = append(c.env, e.Name+"="+value)
	}
	return c, nil
}

// fill puts a volume's files into a directory.
func (s *Stack) fill(dir string, v *corev1.Volume, configs map[string]string, local *strings.Replacer) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	switch {
	case v.ConfigMap != nil && configs[v.ConfigMap.Name] != "":
		return os.WriteFile(filepath.Join(dir, configFile), []byte(local.Replace(configs[v.ConfigMap.Name])), 0o600)
	case v.Secret != nil:
		pair := s.Certs.Server
		if v.Secret.SecretName == schedulerDaemon+"-tls" {
			pair = s.Certs.Client
		}
		for name, file := range map[string]string{corev1.TLSCertKey: pair.Cert, corev1.TLSPrivateKeyKey: pair.Key, "ca.crt": s.Certs.CAFile} {
			link := filepath.Join(dir, name)
			if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
				return err
			}
			if err := os.Symlink(file, link); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("nothing is known of its source")
}
