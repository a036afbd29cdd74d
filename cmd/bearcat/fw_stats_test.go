package main

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

func TestUnitText(t *testing.T) {
	p := &fwPlaces{pins: xdp.DefaultDir, state: "/srv/my state", kill: host.KillSwitch}
	text := unitText("/usr/bin/bearcat", p, []string{"eth0", "br-lan"}, false)
	for _, want := range []string{
		`ExecStart="/usr/bin/bearcat" fw attach eth0 br-lan --state "/srv/my state"`,
		`After=sys-subsystem-net-devices-br\x2dlan.device`, "ConditionPathExists=!/etc/bearcat/fw.off", "Before=network-pre.target",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
}

func TestRates(t *testing.T) {
	was := []xdp.Counts{{Name: "a", Verdict: "drop", Packets: 10, Bytes: 1000}, {Name: "b", Packets: 50}}
	now := []xdp.Counts{{Name: "a", Verdict: "drop", Packets: 30, Bytes: 3000}, {Name: "b", Packets: 5}, {Name: "c", Packets: 8}}
	got := rates(now, was, 2)
	for i, want := range []float64{10, 0, 4} { // b was cleared
		if got[i].PacketsPerSecond != want {
			t.Errorf("%s: %v packets a second, want %v", got[i].Name, got[i].PacketsPerSecond, want)
		}
	}
	if got[0].BitsPerSecond != 8000 {
		t.Errorf("%v bits a second, want 8000", got[0].BitsPerSecond)
	}
}
