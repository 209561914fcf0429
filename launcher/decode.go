package launcher

import (
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"

	slipwayv1 "github.com/slipway-dev/slipway/proto/slipway/v1"
)

// Two bytes on the wire can make an element of a list that takes hundreds in memory, an empty
// container say: a message of the largest size could ask for gigabytes. So what a pod will take is
// reckoned from its bytes before it is decoded. Pods of the API server are far below these bounds.
const (
	maxPodBytes = 3 << 19 // what etcd takes at most
	// maxPodMemory and maxCallMemory bound what a pod, and all of a call, may take decoded, in bytes.
	maxPodMemory  = 16 << 20
	maxCallMemory = 256 << 20

	// What an element of a list takes at most, if the list is one of the pod's metadata, spec or
	// status, and if it is deeper (TestElementSizes).
	elementBytes     = 640
	deepElementBytes = 256
	// deepest is how deep messages are looked into. No message of a pod is nested deeper.
	deepest = 16
)

// decode returns the pods of a request. The error is a status that says which pod is wrong, and how.
func decode(waiting []*slipwayv1.WaitingPod) ([]*corev1.Pod, error) {
	if n := len(waiting); n > MaxPodsPerCall {
		return nil, status.Errorf(codes.InvalidArgument, "pods: %d in one call, at most %d are allowed", n, MaxPodsPerCall)
	}
	memory := 0
	for i, p := range waiting {
		raw := p.GetPod()
		if len(raw) > maxPodBytes {
			return nil, status.Errorf(codes.InvalidArgument, "pods[%d].pod: %d bytes, at most %d are allowed", i, len(raw), maxPodBytes)
		}
		m := len(raw) + memoryOf(raw, 0)
		if memory += m; m > maxPodMemory || memory > maxCallMemory {
			return nil, status.Errorf(codes.InvalidArgument, "pods[%d].pod: has too many elements", i)
		}
	}
	pods := make([]*corev1.Pod, 0, len(waiting))
	for i, p := range waiting {
		pod := &corev1.Pod{}
		if err := pod.Unmarshal(p.GetPod()); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "pods[%d].pod: not a v1.Pod in protobuf encoding: %v", i, err)
		}
		for _, id := range []struct {
			name, value string
			most        int
		}{{"uid", string(pod.UID), 64}, {"name", pod.Name, 253}, {"namespace", pod.Namespace, 63}} {
			switch {
			case id.value == "":
				return nil, status.Errorf(codes.InvalidArgument, "pods[%d].pod: uid, name and namespace are required", i)
			case len(id.value) > id.most || !utf8.ValidString(id.value):
				return nil, status.Errorf(codes.InvalidArgument, "pods[%d].pod: %s is not a text of at most %d bytes", i, id.name, id.most)
			}
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// memoryOf reckons what the elements of a message take that is in the pod this deep. Texts are not
// told from messages: one that could be a message is taken for one. It stops early where it is
// too much for one pod.
func memoryOf(raw []byte, depth int) int {
	each := elementBytes
	if depth > 1 {
		each = deepElementBytes
	}
	total := 0
	for len(raw) > 0 && total <= maxPodMemory {
		_, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return total // no message, or none that can be decoded beyond here
		}
		raw = raw[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(1, kind, raw); n < 0 {
				return total
			}
			raw = raw[n:]
			continue
		}
		inner, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return total
		}
		raw = raw[n:]
		total += each
		if depth < deepest {
			total += memoryOf(inner, depth+1)
		}
	}
	return total
}
