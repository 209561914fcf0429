package fit_test

import "testing"

// TestAttachable: packing knows how many volumes fit, so that what it puts on a node stays there.
func TestAttachable(t *testing.T) {
	w := newWorld(t, 0)
	g := generate(0)
	s := &scenario{Classes: g.Classes, Drivers: g.Drivers, Namespaces: g.Namespaces}
	s.addTypes("default", []string{"8x32"}, map[string]string{"zones": "a"})
	s.addNode("n1", map[string]string{"zone": "a", "disks": "3"})
	s.addAll("db", 12, "100m", "128Mi", []string{"disk=wait-few"})
	w.know(s)
	plan, err := w.engine.Plan(w.ctx, s.input())
	if err != nil {
		t.Fatal(err)
	}
	if plan.Refused > 0 || len(plan.Nodes) != 4 {
		t.Errorf("%d pods were refused where they were packed, on %d nodes; want none, and 4 nodes", plan.Refused, len(plan.Nodes))
	}
}
