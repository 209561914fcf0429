package offering

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

// imagesRemembered bounds how many images' shortfalls are kept for a type of a sizing: the
// ones heard of last.
const imagesRemembered = 4

// maxShortfalls bounds the types of all sizings that are remembered: more than all types
// of a region for some twenty sizings.
const maxShortfalls = 20_000

// shortfalls remembers by how much real nodes fell short of what the Source predicted,
// image by image; not at all is remembered too.
//
// Amounts are kept apart by sizing, since settings change them: a node whose class sets
// maxPods is not short of the pods that another is short of.
type shortfalls map[sized][]shortfall

// sized is an instance type under the sizing of a class (EC2NodeClass.Sizing).
type sized struct{ typeName, sizing string }

type shortfall struct {
	imageID string
	short   corev1.ResourceList // without zeros
}

// record takes in one node's shortfall and returns whether more, or less, is missing from
// now on than was held to be.
func (s shortfalls) record(key sized, imageID string, short corev1.ResourceList) (worse, better bool) {
	before := s.of(key, imageID)
	known, remembered := s[key]
	switch i := slices.IndexFunc(known, func(k shortfall) bool { return k.imageID == imageID }); {
	case i >= 0:
		known[i].short = larger(known[i].short, short)
	case !remembered && len(s) >= maxShortfalls:
		return false, false // forgetting one costs a node that is too small, nothing more
	default:
		if len(known) == imagesRemembered {
			known = slices.Delete(known, 0, 1)
		}
		s[key] = append(known, shortfall{imageID, larger(nil, short)})
	}
	after := s.of(key, imageID)
	return !equality.Semantic.DeepEqual(larger(before, after), before), !equality.Semantic.DeepEqual(larger(before, after), after)
}

// of returns what nodes run from the image are short of; where none was seen yet, or the
// image is not known, the most that any of the type is: a new image is rarely better.
func (s shortfalls) of(key sized, imageID string) corev1.ResourceList {
	var most corev1.ResourceList
	for _, k := range s[key] {
		if k.imageID == imageID && imageID != "" {
			return k.short
		}
		most = larger(most, k.short)
	}
	return most
}

// larger returns a new list of the larger amount of each resource.
func larger(a, b corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	maps.Copy(out, a)
	for name, q := range b {
		if before, ok := out[name]; !ok || q.Cmp(before) > 0 {
			out[name] = q
		}
	}
	return out
}

// subtract returns the list less what is missing, never below zero; the list itself when
// nothing is.
func subtract(list, missing corev1.ResourceList) corev1.ResourceList {
	if len(missing) == 0 {
		return list
	}
	list = maps.Clone(list)
	for name, q := range missing {
		have, ok := list[name]
		if !ok {
			continue
		}
		have.Sub(q)
		if have.Sign() < 0 {
			have = resource.Quantity{Format: have.Format}
		}
		list[name] = have
	}
	return list
}
