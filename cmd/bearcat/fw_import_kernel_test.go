package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFwImportsConfig has a configuration of XDP-Firewall filter as it says, once it is
// clear that it may take the place of the policy.
func TestFwImportsConfig(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000, 9001)
	n.fw("attach", "fws", "--mode", "native")
	config := `interface = "fws"; filters = (
		{ action = 0; block_time = 0; tcp_enabled = true; tcp_dport = "9001:9002"; src_ip = "10.77.0.0/24"; },
		{ action = 0; block_time = 0; flow_pps = 2; tcp_enabled = true; tcp_dport = 9000; tcp_syn = true; tcp_ack = false; });`
	n.refused("nothing is imported", "import", n.file(config+"speed = 3;"))
	n.want("after a refusal", v4b, true)
	var said struct {
		Devices []string
		Applied bool
	}
	if err := json.Unmarshal([]byte(n.fw("import", n.file(config), "--json")), &said); err != nil || !said.Applied || strings.Join(said.Devices, " ") != "fws" {
		t.Errorf("import says %+v, %v", said, err)
	}
	n.want("a dropped port", v4b, false)
	n.want("another family", "[fd77::1]:9001", true)
	for range 3 { // each connection is a flow of its own
		n.want("a limit of each flow", v4a, true)
	}
	if out := n.fw("export"); !strings.Contains(out, "name: filter-2") || !strings.Contains(out, "per: flow") {
		t.Errorf("export gives %q", out)
	}
	n.refused("--replace puts this one in its place", "import", n.file("filters = ();"))
	n.want("still dropped", v4b, false)
	n.fw("import", n.file("filters = ();"), "--replace")
	n.want("replaced", v4b, true)
}
