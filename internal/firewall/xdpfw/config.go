// Package xdpfw turns configurations of XDP-Firewall, another firewall, into policies.
// The text of its file goes in; the text of a policy, the devices and what is to be
// said come out. Keys of all its versions are known. What would change which packets
// are dropped and has no counterpart is an error, what does not is said: nothing is
// left out in silence. cmd/bearcat calls it for bearcat fw import; it does no I/O.
package xdpfw

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// Config is what a configuration becomes.
type Config struct {
	Policy  string   `json:"policy"`  // YAML, for firewall.Parse
	Devices []string `json:"devices"` // that it named
	Notes   []string `json:"notes"`   // one for each key that is not in the policy as it stood
}

var sign = regexp.MustCompile(`(?m)(^|[;,])[ \t]*(interfaces?|filters|ip_drop_ranges)[ \t]*[=:]`)

// Is says whether a text looks like a configuration of XDP-Firewall.
func Is(text string) bool { return sign.MatchString(text) }

// older gives the name that a key has now.
var older = map[string]string{
	"interfaces": "interface", "updatetime": "update_time", "nostats": "no_stats",
	"srcip": "src_ip", "dstip": "dst_ip", "srcip6": "src_ip6", "dstip6": "dst_ip6", "blocktime": "block_time",
}

// topics are the keys that filter nothing, with what to say of them.
var topics = map[string]string{
	"verbose":            "it is about that program's own messages",
	"log_file":           "bearcat fw log shows what is dropped, bearcat fw log --pcap FILE writes it",
	"pin_maps":           "the firewall is always pinned",
	"update_time":        "a file becomes the policy by bearcat fw apply, not by being watched",
	"no_stats":           "packets are always counted",
	"stats_per_second":   "bearcat fw stats --watch 1s shows rates",
	"stdout_update_time": "bearcat fw stats --watch takes the time",
}

type reader struct {
	file  string
	notes []string
	errs  []error
}

func (r *reader) note(line int, format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
}

func (r *reader) wrong(line int, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
}

// keys orders settings by the names that they have now.
func (r *reader) keys(all []setting) map[string]setting {
	out := map[string]setting{}
	for _, s := range all {
		name := s.name
		if now, ok := older[name]; ok {
			name = now
		}
		if was, ok := out[name]; ok {
			r.wrong(s.line, "%s: %s of line %d says the same: leave one of them", s.name, was.name, was.line)
			continue
		}
		out[name] = s
	}
	return out
}

// Read reads a configuration. file is its name, for what is said of it. All that is
// wrong is said at once.
func Read(file, text string) (*Config, error) {
	all, err := parseConfig(file, text)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file}
	c := &Config{Devices: []string{}}
	var ranges []netip.Prefix
	var filters []value
	keys := r.keys(all)
	for _, s := range all {
		name := s.name
		if now, ok := older[name]; ok {
			name = now
		}
		switch {
		case keys[name].line != s.line: // the second of two that say the same
		case name == "interface":
			c.Devices = r.texts(s)
			r.note(s.line, "%s: to have it filtered: bearcat fw attach %s", s.name, strings.Join(c.Devices, " "))
		case name == "ip_drop_ranges":
			for i, text := range r.texts(s) {
				if p, ok := r.prefix(s, at(s, i), text); ok {
					ranges = append(ranges, p)
				}
			}
		case name == "filters" && s.kind == list:
			filters = s.list
		case name == "filters":
			r.wrong(s.line, "filters: it is %s, not a list of groups in ( )", s.kind)
		case topics[name] != "":
			r.note(s.line, "%s is left out: %s", s.name, topics[name])
		default:
			r.wrong(s.line, "%s: no version of XDP-Firewall that is known here has this key", s.name)
		}
	}
	var rules strings.Builder
	for i, f := range filters {
		r.filter(&rules, i+1, f)
	}
	c.Policy = policy(ranges, rules.String())
	c.Notes = append([]string{}, r.notes...)
	return c, errors.Join(r.errs...)
}

// at gives the line of one value of a setting.
func at(s setting, i int) int {
	if s.kind == list {
		return s.list[i].line
	}
	return s.line
}

// texts gives the strings of a list, or the one string.
func (r *reader) texts(s setting) []string {
	values := s.list
	if s.kind != list {
		values = []value{s.value}
	}
	out := []string{}
	for _, v := range values {
		if v.kind != text {
			r.wrong(v.line, "%s: %s stands where a string should", s.name, v.kind)
			return nil
		}
		out = append(out, v.text)
	}
	return out
}

// prefix reads an address or a prefix; its bits beyond the prefix say nothing there.
func (r *reader) prefix(s setting, line int, text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			r.wrong(line, "%s: %q is neither an address nor a prefix such as 192.0.2.0/24", s.name, text)
			return p, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	if p.Addr().Is4In6() {
		r.wrong(line, "%s: %q: write an IPv4 prefix in its own form", s.name, text)
		return p, false
	}
	if p != p.Masked() {
		r.note(line, "%s: %s is taken as %s", s.name, text, p.Masked())
	}
	return p.Masked(), true
}

// policy puts a policy together. The ranges come first, as there.
func policy(ranges []netip.Prefix, rules string) string {
	var b strings.Builder
	b.WriteString("# from a configuration of XDP-Firewall\ndefault: pass\n")
	if len(ranges) > 0 {
		b.WriteString("sets:\n  ip-drop-ranges:\n")
		for _, p := range ranges {
			fmt.Fprintf(&b, "    - %q\n", p)
		}
		rules = "  - name: ip-drop-ranges\n    match:\n      src: \"@ip-drop-ranges\"\n    action: drop\n" + rules
	}
	if rules != "" {
		b.WriteString("rules:\n" + rules)
	}
	return b.String()
}
