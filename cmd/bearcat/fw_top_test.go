package main

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// TestFwTopTable wants kinds in their order, the largest of each first, and no more
// lines of each than were asked for.
func TestFwTopTable(t *testing.T) {
	r := &xdp.Rates{Time: time.Unix(0, 0).UTC(), Passed: 2.5, Dropped: 1200, Rows: []xdp.Rate{
		{Kind: xdp.KindSource, Name: "192.0.2.1", Note: "ban by ssh", PacketsPerSecond: 7},
		{Kind: xdp.KindRule, Name: "few", PacketsPerSecond: 1, Packets: 9},
		{Kind: xdp.KindRule, Name: "many", PacketsPerSecond: 30, BytesPerSecond: 4096, Packets: 4, OverPerSecond: 2},
		{Kind: xdp.KindRule, Name: "none"},
		{Kind: xdp.KindDevice, Name: "eth0", Note: "native", PacketsPerSecond: 99},
	}}
	out := topOutput{rows: 2}
	for by, want := range map[string]string{
		"":        "device eth0 native 99|rule many 30|rule few 1.0|source 192.0.2.1 ban by ssh 7.0",
		"packets": "device eth0 native 99|rule few 1.0|rule many 30|source 192.0.2.1 ban by ssh 7.0",
		"Name":    "device eth0 native 99|rule few 1.0|rule many 30|source 192.0.2.1 ban by ssh 7.0",
	} {
		column, err := fwTopColumnNamed(by)
		if err != nil {
			t.Fatal(err)
		}
		sortRates(r.Rows, column)
		var b strings.Builder
		if err := out.writeRates(&b, r, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if lines[0] != "00:00:00 fw top: 2.5 packets/s pass, 1200 are dropped" || !strings.Contains(b.String(), "and 1 lines more") {
			t.Errorf("%s", b.String())
		}
		var got []string
		for _, l := range lines[2:6] {
			f := strings.Fields(l) // kind, six numbers, name
			got = append(got, f[0]+" "+strings.Join(f[7:], " ")+" "+f[1])
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("by %q: %s, want %s", by, s, want)
		}
	}
	if _, err := fwTopColumnNamed("packet/s"); err == nil || !strings.Contains(err.Error(), "PACKETS/s") {
		t.Errorf("a column that is not there: %v", err)
	}
}
