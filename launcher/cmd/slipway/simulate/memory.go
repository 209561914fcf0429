package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-dev/slipway/launcher/cmd/slipway/workload"
)

// memory stands in for an API server: it answers the lists of informers from objects in
// memory, and lets them watch nothing. The scheduler's plugins want a kubernetes.Interface;
// client-go's fake one is made for tests and brings its whole API schema along.
type memory struct {
	items map[string]any // slices of objects, by resource
}

var _ http.RoundTripper = memory{}

func newMemory(o *workload.Objects) memory {
	return memory{map[string]any{
		"namespaces":             namespaces(o),
		"nodes":                  o.Nodes,
		"persistentvolumes":      o.PersistentVolumes,
		"persistentvolumeclaims": o.PersistentVolumeClaims,
		"storageclasses":         o.StorageClasses,
		"csinodes":               o.CSINodes,
		"replicasets":            o.ReplicaSets,
		"statefulsets":           o.StatefulSets,
		"deviceclasses":          o.DeviceClasses,
		"resourceslices":         o.ResourceSlices,
		"resourceclaims":         o.ResourceClaims,
	}}
}

func (m memory) client() (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(&rest.Config{Host: "http://memory.invalid", Transport: m, QPS: -1})
}

// namespaces are those of the input and those that its pods are in.
func namespaces(o *workload.Objects) []*corev1.Namespace {
	all := append([]*corev1.Namespace{}, o.Namespaces...)
	known := map[string]bool{}
	for _, n := range all {
		known[n.Name] = true
		metav1.SetMetaDataLabel(&n.ObjectMeta, corev1.LabelMetadataName, n.Name)
	}
	add := func(name string) {
		if !known[name] {
			known[name] = true
			all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{corev1.LabelMetadataName: name},
			}})
		}
	}
	for _, p := range o.Pods {
		add(p.Namespace)
	}
	for _, c := range o.Controllers() {
		add(c.GetNamespace())
	}
	return all
}

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	switch {
	case r.Method != http.MethodGet:
		return answer(r, http.StatusMethodNotAllowed, nil), nil
	case query.Get("sendInitialEvents") == "true": // informers then list
		return answer(r, http.StatusUnprocessableEntity, nil), nil
	case query.Get("watch") != "":
		return answer(r, http.StatusOK, silence(r.Context())), nil
	}
	items := m.items[path.Base(r.URL.Path)]
	if items == nil {
		items = []any{}
	}
	body, err := json.Marshal(map[string]any{"metadata": metav1.ListMeta{ResourceVersion: "1"}, "items": items})
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusOK, io.NopCloser(bytes.NewReader(body))), nil
}

func answer(r *http.Request, code int, body io.ReadCloser) *http.Response {
	if body == nil {
		body = http.NoBody
	}
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r,
	}
}

// silence is a watch in which nothing happens until it ends.
func silence(ctx context.Context) io.ReadCloser {
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { writer.Close() })
	return reader
}
