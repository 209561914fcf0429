package devcluster

import (
	"os"
	"regexp"
	"strings"
)

var modelName = regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`)

// Machine names the processor, for reports of what was measured on it.
func Machine() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	if m := modelName.FindSubmatch(raw); m != nil {
		return strings.TrimSpace(string(m[1]))
	}
	return "unknown processor"
}
