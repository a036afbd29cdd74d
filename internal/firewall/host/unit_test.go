package host

import (
	"strings"
	"testing"
)

func TestUnitText(t *testing.T) {
	u := Unit{Binary: "/usr/bin/bearcat", Kill: KillSwitch, Devices: []string{"eth0", "br-lan"}, Flags: [][2]string{{"--state", "/srv/my state"}}, Egress: true}
	text, err := u.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ExecStart="/usr/bin/bearcat" fw attach eth0 br-lan --state "/srv/my state" --egress`,
		`After=sys-subsystem-net-devices-br\x2dlan.device`, "ConditionPathExists=!/etc/bearcat/fw.off", "Before=network-pre.target",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
	for _, bad := range []string{"", "eth0\nExecStart=/bin/x", "a name", "sixteen-letters-"} {
		u.Devices = []string{bad}
		if text, err := u.Text(); err == nil {
			t.Errorf("%q is taken for a device:\n%s", bad, text)
		}
	}
}
