package firewall

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

const sample = `
default: drop
unparsed: drop
sets:
  office: [192.0.2.0/24, "2001:db8::/32"]
rules:
  - name: ssh
    comment: from the office
    match: {src: "@office", dport: [22, 2200-2299], protocol: tcp, tcp_flags: [syn, "!ack"]}
    action: limit
    rate: 10/m
    burst: 5
    ban: 10m
  - name: low-ttl
    match: {ttl: 0-4, fragment: any}
    not: {vlan: 7, mac: "02:00:00:00:00:01", device: eth0}
    action: drop
    monitor: true
`

func TestParse(t *testing.T) {
	p, err := Parse("p.yaml", []byte(sample), Host{Device: func(string) (uint32, error) { return 3, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if p.Default != Drop || p.Malformed != Drop || p.Unparsed != Drop || len(p.Rules) != 2 {
		t.Fatalf("%+v", p)
	}
	ssh, low := p.Rules[0], p.Rules[1]
	if ssh.Action != Limit || ssh.Packets != 10 || ssh.Per != time.Minute || ssh.Burst != 5 || ssh.Ban != 10*time.Minute || ssh.Unproven {
		t.Errorf("ssh: %+v", ssh)
	}
	m := ssh.Match
	if m.Has != Src|DstPort|Protocol|TCPFlags || m.Not != 0 || len(m.Src) != 2 || m.DstPort[1] != (Range{2200, 2299}) || m.TCPSet != 2 || m.TCPUnset != 16 {
		t.Errorf("ssh matches %+v", m)
	}
	if m := low.Match; m.Has != TTL|Fragment|VLAN|MAC|Device || m.Not != VLAN|MAC|Device || m.Device != 3 || !low.Monitor {
		t.Errorf("low-ttl: %+v", low)
	}
	if p, err := Parse("empty", nil, Host{}); err != nil || p.Malformed != Drop || p.Default != Pass {
		t.Errorf("the empty file: %+v, %v", p, err)
	}
}

func TestParseMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"default: reject":                              "neither pass nor drop",
		"defualt: drop":                                "defualt",
		"a: 1\n---\nb: 2":                              "a",
		"rules: [{name: a}]":                           "action",
		"rules: [{name: 'a b', action: drop}]":         "without blanks",
		"rules: [{name: a, action: drop, matsch: {}}]": "matsch",
		"rules: [{name: a, action: drop}, {name: a, action: pass}]":            "also called",
		"rules: [{name: a, action: drop, match: {src: 10.0.0.1/8}}]":           "did you mean 10.0.0.0/8",
		"rules: [{name: a, action: drop, match: {src: \"@x\"}}]":               "no set",
		"rules: [{name: a, action: drop, match: {src: []}}]":                   "empty list",
		"rules: [{name: a, action: drop, match: {dport: 70000}}]":              "0 to 65535",
		"rules: [{name: a, action: drop, match: {dport: 9-1}}]":                "ends before",
		"rules: [{name: a, action: drop, match: {ttl: 1}, not: {ttl: 2}}]":     "under not",
		"rules: [{name: a, action: drop, match: {tcp_flags: [syn, '!syn']}}]":  "at once",
		"rules: [{name: a, action: drop, match: {device: x}}]":                 "no such",
		"rules: [{name: a, action: drop, rate: 1/s}]":                          "belong to",
		"rules: [{name: a, action: limit}]":                                    "not a rate",
		"rules: [{name: a, action: limit, rate: 1/h, burst: 100}]":             "more than a day",
		"rules: [{name: a, action: pass, ban: 1m}]":                            "can ban",
		"rules: [{name: a, action: drop, ban: 9999h}]":                         "not a time",
		"rules: [{name: a, action: drop, match: {src: '::ffff:1.2.3.0/120'}}]": "own form",
		"rules: [{name: a, action: drop, match: {protocol: tpc}}]":             "neither the name",
		"rules: [{name: a, action: drop, match: {mac: 1}}]":                    "MAC",
		"rules: [{name: a, action: drop, match: {fragment: x}}]":               "none of any",
		"rules: [{name: a, action: drop, match: {length: [1, 2]}}]":            "one value or one range",

		"rules: [{name: a, action: drop, match: {payload: GET}}]":                                         "cannot unmarshal",
		"rules: [{name: a, action: drop, match: {payload: {offset: 4}}}]":                                 "there are none",
		"rules: [{name: a, action: drop, match: {payload: {bytes: 0x123}}}]":                              "two digits",
		"rules: [{name: a, action: drop, match: {payload: {bytes: a, offset: 8192}}}]":                    "0 to 8191",
		"rules: [{name: a, action: drop, match: {payload: {bytes: ab, mask: 0xff}}}]":                     "one for each",
		"rules: [{name: a, action: drop, match: {payload: {bytes: ab, mask: ff}}}]":                       "is not hex",
		"rules: [{name: a, action: drop, match: {payload: {bytes: 0123456789012345678901234567890123}}}]": "more than 32",
		"rules: [{name: a, action: drop, match: {payload: {bytes: a}}, not: {payload: {bytes: b}}}]":      "under not",
		"rules: [{name: a, action: drop, match: {payload: {bytes: a, ofset: 1}}}]":                        "ofset",
	} {
		_, err := Parse("p", []byte(text), Host{Device: func(string) (uint32, error) { return 0, errNoDevice{} }})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngives %v, want %q in it", text, err, want)
		}
	}
}

func TestPayload(t *testing.T) {
	read := func(s string) *Match {
		p, err := Parse("p", []byte("rules: [{name: a, action: drop, match: {payload: "+s+"}}]"), Host{})
		if err != nil {
			t.Fatal(err)
		}
		return &p.Rules[0].Match
	}
	if m := read(`{offset: 2, bytes: "0x16 03FF", mask: "0xff 00 f0"}`); m.Has != PayloadBytes || m.Payload.Offset != 2 || string(m.Payload.Bytes) != "\x16\x00\xf0" {
		t.Errorf("%+v", m)
	}
	m := read(`{offset: 2, bytes: "0x16 03FF", mask: "0xff 00 f0"}`).Payload
	text := read(`{bytes: "GET /"}`).Payload
	for _, x := range []struct {
		p           *Payload
		in          string
		known, same bool
	}{
		{&text, "GET / HTTP/1.1", true, true}, {&text, "GET /", true, true}, {&text, "GET", false, false}, {&text, "PUT / ", true, false},
		{&m, "..\x16\x99\xf7", true, true}, {&m, "..\x17\x99\xf7", true, false}, {&m, "..\x16\x99", false, false}, {&m, "", false, false},
	} {
		if known, same := x.p.In([]byte(x.in)); known != x.known || same != x.same {
			t.Errorf("%+v in %q: %v, %v", x.p, x.in, known, same)
		}
	}
}

type errNoDevice struct{}

func (errNoDevice) Error() string { return "no such device" }

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("rules: [{name: a, action: limit, rate: 4294967295/s, burst: 4294967295}]"))
	f.Add([]byte("rules: [{name: a, action: drop, not: {payload: {offset: 3, bytes: 0x00ff, mask: 0x0f0f}}}]"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Parse("f", b, Host{}) })
}

func TestFeed(t *testing.T) {
	for text, want := range map[string][]string{
		"# c\n192.0.2.1 ; x\n192.0.2.1\nrubbish\n10.1.2.3/8\n":                                           {"192.0.2.1/32", "10.0.0.0/8", "?rubbish"},
		"create x hash:ip family inet\nadd x 192.0.2.1 timeout 5\nadd x 2001:db8::/32\n":                 {"192.0.2.1/32", "2001:db8::/32"},
		"set s {\n type ipv4_addr\n elements = { 1.2.3.4 timeout 1h, 5.6.7.0/24,\n 1.1.1.1-1.1.1.9 }\n}": {"1.2.3.4/32", "5.6.7.0/24", "?1.1.1.1-1.1.1.9"},
	} {
		prefixes, refused := Feed(text)
		var got []string
		for _, p := range prefixes {
			got = append(got, p.String())
		}
		for _, r := range refused {
			got = append(got, "?"+r.Text)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q gives %v, want %v", text, got, want)
		}
	}
}

func FuzzFeed(f *testing.F) {
	f.Add("add x 1.2.3.4/33\nelements = { 1, }")
	f.Fuzz(func(t *testing.T, s string) {
		prefixes, _ := Feed(s)
		for _, p := range prefixes {
			if p != p.Masked() || !p.IsValid() || p == (netip.Prefix{}) {
				t.Errorf("%v is not a masked prefix", p)
			}
		}
	})
}
