package offering

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// imagesRemembered bounds how many images' shortfalls are kept for a type: the ones
// heard of last.
const imagesRemembered = 4

// shortfalls remembers, per instance type, by how much real nodes fell short of what the
// Source predicted, image by image.
type shortfalls map[string][]shortfall

type shortfall struct {
	imageID string
	short   corev1.ResourceList
}

// record takes in one node's shortfall and returns whether any of it exceeds what was
// known for the type and image.
func (s shortfalls) record(typeName, imageID string, short corev1.ResourceList) bool {
	if len(short) == 0 {
		return false
	}
	known := s[typeName]
	i := slices.IndexFunc(known, func(k shortfall) bool { return k.imageID == imageID })
	if i < 0 {
		if len(known) == imagesRemembered {
			known = slices.Delete(known, 0, 1)
		}
		s[typeName] = append(known, shortfall{imageID, maps.Clone(short)})
		return true
	}
	news := false
	for name, q := range short {
		if before := known[i].short[name]; q.Cmp(before) > 0 {
			known[i].short[name] = q
			news = true
		}
	}
	return news
}

// largest returns the type's largest known shortfall of each resource.
func (s shortfalls) largest(typeName string) corev1.ResourceList {
	var most corev1.ResourceList
	for _, k := range s[typeName] {
		for name, q := range k.short {
			if before, ok := most[name]; !ok || q.Cmp(before) > 0 {
				if most == nil {
					most = corev1.ResourceList{}
				}
				most[name] = q
			}
		}
	}
	return most
}

// subtract returns the list less the type's largest known shortfall, never below
// zero; the list itself when nothing is known.
func (s shortfalls) subtract(typeName string, list corev1.ResourceList) corev1.ResourceList {
	short := s.largest(typeName)
	if len(short) == 0 {
		return list
	}
	list = maps.Clone(list)
	for name, q := range short {
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

// uncorrected returns what the Source predicted where, less the shortfall known at the
// time, a node was expected to have q: shortfalls are counted from the Source's word, or
// two nodes bought on one prediction would be counted twice. Classes differ in what
// they predict (the size of the disk), so the nearest prediction that is no less than q
// is taken. c.mu is held.
func (c *Catalog) uncorrected(typeName string, name corev1.ResourceName, q resource.Quantity) resource.Quantity {
	nearest := q.DeepCopy()
	found := false
	for _, l := range c.lists {
		for _, t := range l.types {
			if t.Name != typeName {
				continue
			}
			if raw := t.Allocatable[name]; raw.Cmp(q) >= 0 && (!found || raw.Cmp(nearest) < 0) {
				nearest, found = raw.DeepCopy(), true
			}
		}
	}
	return nearest
}
