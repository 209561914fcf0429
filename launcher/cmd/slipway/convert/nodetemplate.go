package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// nodeTemplate converts an AWSNodeTemplate.
func nodeTemplate(c *conversion) []map[string]any {
	class, settings := map[string]any{}, c.takeSpec()
	c.aws(settings, "spec", class)
	put(c.source, nonEmpty(settings), "spec") // to be remarked upon
	return []map[string]any{c.made("EC2NodeClass", class)}
}

// aws takes settings for AWS, of an AWSNodeTemplate or in a Provisioner, into a class.
func (c *conversion) aws(settings map[string]any, path string, class map[string]any) {
	for _, same := range []string{"amiFamily", "instanceProfile", "userData", "tags", "metadataOptions", "blockDeviceMappings", "detailedMonitoring", "context"} {
		put(class, take(settings, same), same)
	}
	for _, s := range []struct{ from, to string }{
		{"subnetSelector", "subnetSelectorTerms"},
		{"securityGroupSelector", "securityGroupSelectorTerms"},
		{"amiSelector", "amiSelectorTerms"},
	} {
		put(class, c.terms(take(settings, s.from), path+"."+s.from), s.to)
	}
}

// terms makes selector terms of a selector, which was a map: of tags, whose values may be
// several with commas between them, and of a few keys with a meaning of their own.
func (c *conversion) terms(selector any, path string) any {
	m, _ := selector.(map[string]any)
	terms := []map[string]any{{}}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		field := []string{"tags", k}
		switch k {
		case "aws-ids", "aws::ids":
			field = []string{"id"}
		case "aws::name":
			field = []string{"name"}
		case "aws::owners":
			field = []string{"owner"}
		}
		text, ok := m[k].(string)
		if !ok {
			c.remark(path+"["+k+"]", fmt.Sprintf("a text is wanted, not %v", m[k]))
			continue
		}
		var next []map[string]any
		for _, term := range terms {
			for value := range strings.SplitSeq(text, ",") {
				with := runtime.DeepCopyJSON(term)
				put(with, strings.TrimSpace(value), field...)
				next = append(next, with)
			}
		}
		terms = next
	}
	if len(m) == 0 {
		return nil
	}
	all := make([]any, len(terms))
	for i := range terms {
		all[i] = terms[i]
	}
	return all
}
