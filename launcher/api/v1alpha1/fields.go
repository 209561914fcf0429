package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
)

// fieldsVersion is changed whenever nodes would otherwise be taken for drifted though nobody
// edited their class: when the schema defaults a field within another that it did not
// default before. Nodes of another version are not judged by their class's fields.
const fieldsVersion = "1"

// versionField holds fieldsVersion among FieldHashes.
const versionField = "version"

// FieldHashes identifies the value of each field of the class's spec that shapes a node and
// is set. Terms that select something are left out: nodes are judged by what they select. It
// is nil for a nil class.
func (c *EC2NodeClass) FieldHashes() map[string]string {
	if c == nil {
		return nil
	}
	raw, err := json.Marshal(c.Spec) // maps are marshalled in order
	if err != nil {
		panic(fmt.Sprintf("class %s: spec does not marshal: %v", c.Name, err)) // numbers, strings and quantities do
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		panic(fmt.Sprintf("class %s: spec is no object: %v", c.Name, err))
	}
	for _, selector := range []string{"amiSelectorTerms", "subnetSelectorTerms", "securityGroupSelectorTerms", "capacityReservationSelectorTerms"} {
		delete(fields, selector)
	}
	maps.DeleteFunc(fields, func(_ string, value json.RawMessage) bool { return string(value) == "{}" })
	hashes := map[string]string{versionField: fieldsVersion}
	for name, value := range fields {
		sum := sha256.Sum256(value)
		hashes[name] = hex.EncodeToString(sum[:4])
	}
	return hashes
}

// ChangedField names a field of the class that is not as it was when the hashes were taken;
// empty when there is none, or none is known.
func (c *EC2NodeClass) ChangedField(before map[string]string) string {
	now := c.FieldHashes()
	if before[versionField] != now[versionField] {
		return ""
	}
	changed := ""
	for _, fields := range []map[string]string{before, now} {
		for name := range fields {
			if before[name] != now[name] && (changed == "" || name < changed) {
				changed = name
			}
		}
	}
	return changed
}
