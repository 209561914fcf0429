package launcher

import (
	"bytes"
	"context"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-dev/slipway/launcher/allocate"
	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// TestElementSizes: no element of a list or a map in a pod takes more than is reckoned for it.
func TestElementSizes(t *testing.T) {
	seen := map[reflect.Type]int{}
	var look func(path string, of reflect.Type, depth int)
	look = func(path string, of reflect.Type, depth int) {
		switch of.Kind() {
		case reflect.Pointer:
			look(path, of.Elem(), depth)
		case reflect.Slice, reflect.Map:
			element := of.Elem()
			size := element.Size()
			if of.Kind() == reflect.Map {
				size = 2 * (size + of.Key().Size()) // tables are up to half empty
			}
			most := uintptr(elementBytes)
			if depth > 2 {
				most = deepElementBytes
			}
			if size > most {
				t.Errorf("%s: an element takes %d bytes, %d are reckoned with", path, size, most)
			}
			look(path+"[]", element, depth)
		case reflect.Struct:
			if d, known := seen[of]; known && d <= depth {
				return
			}
			seen[of] = depth
			for f := range of.Fields() {
				next := depth + 1
				if f.Anonymous && f.Type.Name() != "ObjectMeta" { // inlined but for metadata
					next = depth
				}
				look(path+"."+f.Name, f.Type, next)
			}
		}
	}
	look("pod", reflect.TypeFor[corev1.Pod](), 0)
	if len(seen) < 100 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}

// taker takes whatever it is handed.
type taker struct{ taken []*corev1.Pod }

func (taker) Running() <-chan struct{} {
	running := make(chan struct{})
	close(running)
	return running
}

func (r *taker) Reserve(_ context.Context, pods []*corev1.Pod) ([]allocate.Verdict, error) {
	r.taken = pods
	var verdicts []allocate.Verdict
	for _, p := range pods {
		verdicts = append(verdicts, allocate.Verdict{Pod: p.UID, Code: allocate.Accepted})
	}
	return verdicts, nil
}

func (taker) Release(context.Context, []allocate.Release) error { return nil }

func (taker) Watch(context.Context) ([]allocate.Reservation, <-chan []allocate.Reservation, error) {
	return nil, nil, nil
}

// plain is a pod as there are many.
func plain() *corev1.Pod {
	var env []corev1.EnvVar
	for range 40 {
		env = append(env, corev1.EnvVar{Name: "NAME", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}, Key: "key"},
		}})
	}
	amounts := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-1", UID: types.UID("6f0f4a1c-9d3e-4a35-8d1c-0a4f1f6a9b1e"), Labels: map[string]string{"app": "web"},
			Annotations: map[string]string{"note": strings.Repeat("a text that is long. ", 500)},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{
				{Name: "web", Image: "web", Env: env, Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts}},
				{Name: "side", Image: "side", Env: env},
			},
			NodeSelector: map[string]string{"a": "b"},
		},
	}
}

func marshal(t testing.TB, pod *corev1.Pod) []byte {
	t.Helper()
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// field is a length-delimited field on the wire.
func field(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// bomb is a pod's spec with so many empty elements of a list.
func bomb(list protowire.Number, elements int) []byte {
	return field(2, bytes.Repeat(field(list, nil), elements))
}

// hostile are pods' bytes that mean harm.
func hostile(t testing.TB) map[string][]byte {
	pod := marshal(t, plain())
	long := plain()
	long.UID = types.UID(strings.Repeat("u", 65))
	garbled := plain()
	garbled.Name = "\xff"
	const containers, volumes, env = 2, 1, 7
	return map[string][]byte{
		"nothing":                   nil,
		"cut off":                   pod[:len(pod)/2],
		"half a million containers": append(bytes.Clone(pod), bomb(containers, 500_000)...),
		"volumes":                   append(bytes.Clone(pod), bomb(volumes, 100_000)...),
		"variables of a container":  append(bytes.Clone(pod), field(2, field(containers, bytes.Repeat(field(env, nil), 700_000)))...),
		"too large":                 append(bytes.Clone(pod), field(100, make([]byte, maxPodBytes))...),
		"a UID that is too long":    marshal(t, long),
		"no UTF-8":                  marshal(t, garbled),
		"a length that lies":        {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f},
	}
}

// reserve hands pods over and returns how many bytes that has allocated.
func reserve(t *testing.T, raws ...[]byte) (*slipwayv1.ReservePodsResponse, uint64, error) {
	t.Helper()
	req := &slipwayv1.ReservePodsRequest{}
	for _, raw := range raws {
		req.Pods = append(req.Pods, &slipwayv1.WaitingPod{Pod: raw})
	}
	service := NewService(&taker{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := service.ReservePods(t.Context(), req)
	runtime.ReadMemStats(&after)
	return resp, after.TotalAlloc - before.TotalAlloc, err
}

func TestHostilePods(t *testing.T) {
	for name, raw := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			_, allocated, err := reserve(t, marshal(t, plain()), raw)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), "pods[1].pod: ") {
				t.Errorf("error %v, want invalid, of the second pod", err)
			}
			if allocated > 1<<20 {
				t.Errorf("refusing it allocated %d bytes", allocated)
			}
		})
	}
	t.Run("a thousand of moderate size", func(t *testing.T) {
		raw := append(marshal(t, plain()), bomb(2, 5000)...)
		var many [][]byte
		for range MaxPodsPerCall {
			many = append(many, raw)
		}
		if _, allocated, err := reserve(t, many...); status.Code(err) != codes.InvalidArgument || allocated > 1<<20 {
			t.Errorf("error %v, want invalid; %d bytes were allocated", err, allocated)
		}
	})
}

// TestLargestCall: a thousand pods as there are many are no more than may be.
func TestLargestCall(t *testing.T) {
	var many [][]byte
	for range MaxPodsPerCall {
		many = append(many, marshal(t, plain()))
	}
	resp, _, err := reserve(t, many...)
	if err != nil || len(resp.GetAnswers()) != MaxPodsPerCall {
		t.Errorf("%d answers, error %v", len(resp.GetAnswers()), err)
	}
}

// FuzzReservePods hands over pods of any bytes: nothing panics, what is taken has a name, and
// memory is bounded.
func FuzzReservePods(f *testing.F) {
	f.Add(marshal(f, plain()))
	f.Add(append(marshal(f, plain()), bomb(2, 100)...))
	for _, raw := range hostile(f) {
		if len(raw) < 16<<10 { // mutating others takes too long
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		resp, allocated, err := reserve(t, raw, raw)
		// Lists grow by doubling, and what they grew out of is garbage.
		if most := uint64(1<<20 + 2*4*maxPodMemory); allocated > most {
			t.Errorf("%d bytes of a pod made %d be allocated", len(raw), allocated)
		}
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("error %v, want invalid", err)
			}
			return
		}
		if _, err := proto.Marshal(resp); err != nil || resp.GetAnswers()[1].GetPodUid() == "" {
			t.Errorf("answer %v cannot be sent: %v", resp, err)
		}
	})
}
