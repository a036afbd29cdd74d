package xdpfw

import (
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

// Bounds of rates that a policy takes.
const (
	mostPackets = int64(time.Second) // a second
	mostBytes   = int64(time.Second) << 10
	leastBurst  = 1514
)

// action takes what a filter does, and from which rate on.
func (f *filter) action() {
	rate, limited := f.rate()
	s, ok := f.take("action", number)
	passes := true // there as well, where nothing is said
	switch {
	case ok && s.number != 0 && s.number != 1:
		f.wrong(s.line, "action: %d is neither 0, drop, nor 1, pass", s.number)
	case ok:
		passes = s.number == 1
	default:
		f.note(f.line, "%s has no action, which there means 1, pass", f.name)
	}
	block, blocks := f.take("block_time", number)
	if passes {
		if limited {
			f.wrong(rate.line, "%s: %s passes what is over a rate, which no rule does: make a filter that drops it", rate.name, f.name)
		}
		if blocks {
			f.note(block.line, "%s is left out of %s: it passes, so nobody is blocked there either", block.name, f.name)
		}
		f.says("action: pass")
		return
	}
	if !limited {
		f.says("action: drop")
	}
	f.ban(block, blocks)
}

// ban has the source banned as there, where that is for a second if nothing is said.
func (f *filter) ban(s setting, said bool) {
	seconds := int64(1)
	if said {
		seconds = s.number
	}
	switch {
	case seconds <= 0:
		return
	case seconds > int64(firewall.MaxBan/time.Second):
		f.wrong(s.line, "%s: a ban lasts up to %s, not %d seconds: block such sources with bearcat fw add", s.name, firewall.MaxBan, seconds)
		return
	case !said:
		f.note(f.line, "%s bans for 1s, as there where block_time is not set: leave ban and unproven out to drop only", f.name)
	}
	f.says("ban: %ds", seconds)
	f.says("unproven: true")
}

// rate takes the thresholds. A rule can have one.
func (f *filter) rate() (setting, bool) {
	var first setting
	limited := false
	for _, x := range []struct {
		key         string
		bytes, flow bool
	}{
		{"ip_pps", false, false}, {"ip_bps", true, false}, {"flow_pps", false, true}, {"flow_bps", true, true},
		{"pps", false, false}, {"bps", true, false},
	} {
		s, ok := f.take(x.key, number)
		switch {
		case !ok:
			continue
		case s.number <= 0:
			f.note(s.line, "%s is left out of %s: %d is no threshold", s.name, f.name, s.number)
			continue
		case limited:
			f.wrong(s.line, "%s: the filter also has %s in line %d, and both must be exceeded there: write a filter for each", s.name, first.name, first.line)
			continue
		case x.bytes && s.number > mostBytes, !x.bytes && s.number > mostPackets:
			f.wrong(s.line, "%s: %d a second is more than any device sends: leave the filter out", s.name, s.number)
			continue
		}
		first, limited = s, true
		f.says("action: limit")
		unit := ""
		burst := s.number
		if x.bytes {
			unit = "B"
			burst = max(burst, leastBurst)
		}
		f.says("rate: %d%s/s", s.number, unit)
		f.says("burst: %d", burst)
		if x.flow {
			f.says("per: flow")
		}
		f.note(s.line, "%s: %s counts the packets that it matches, not all of the source, and earns time rather than beginning anew each second", s.name, f.name)
		if x.key == "pps" || x.key == "bps" {
			f.note(s.line, "%s: %s counts by source; builds with USE_FLOW_RL counted by flow: add per: flow for that", s.name, f.name)
		}
	}
	return first, limited
}
