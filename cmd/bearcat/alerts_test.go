package main

import (
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/alerts"
)

func TestBanText(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, x := range []struct {
		ban  alerts.Ban
		want string
	}{
		{alerts.Ban{State: "holds", Left: 59 * time.Minute, By: "ssh connections"}, "192.0.2.1 by ssh connections holds for 59m0s more"},
		{alerts.Ban{State: "over"}, "192.0.2.1 is over since " + until.Format("2006-01-02")},
		{alerts.Ban{State: "ended early"}, "192.0.2.1 does not hold any more"},
		{alerts.Ban{State: "no firewall is loaded"}, "is not known: no firewall is loaded"},
	} {
		x.ban.Source, x.ban.Until = "192.0.2.1", until
		if got := banText(&x.ban); !strings.Contains(got, x.want) {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}
