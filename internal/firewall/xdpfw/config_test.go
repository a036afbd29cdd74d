package xdpfw

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
)

const sample = `// all that the newest version has
verbose = 5;
log_file = "/var/log/" "xdpfw.log";
interface = ("ens18", "ens19");
pin_maps = true;
update_time = 15;
no_stats = false;
stats_per_second = true;
stdout_update_time = 1000;
/* two
   lines */
filters = (
  {
    enabled = true, log = true, action = 0, block_time = 0;
    udp_enabled = true, udp_dport = 27015, udp_sport = "1024:65535"
  },
  {
    action: 1
    tcp_enabled = true; tcp_syn = true; tcp_ack = False; tcp_dport = "27000-27015"
  },
  { enabled = false; action = 0; block_time = 60; icmp_enabled = true; icmp_code = 0; icmp_type = 0x8; },
  { action = 0; src_ip = "10.50.0.4"; dst_ip = "10.1.2.3/8"; min_ttl = 2; max_len = 1500; tos = 184; },
  { action = 0; ip_pps = 1000L; block_time = 5; tcp_dport = 22; },
  { action = 0; flow_bps = 1000; block_time = 0; src_ip6 = "2001:db8::1"; },
);
ip_drop_ranges = ("192.0.2.0/24", "198.51.100.7/24");
`

const samplePolicy = `# from a configuration of XDP-Firewall
default: pass
sets:
  ip-drop-ranges:
    - "192.0.2.0/24"
    - "198.51.100.0/24"
rules:
  - name: ip-drop-ranges
    match:
      src: "@ip-drop-ranges"
    action: drop
  - name: filter-1
    match:
      protocol: udp
      sport: 1024-65535
      dport: 27015
    action: drop
  - name: filter-2
    match:
      protocol: tcp
      dport: 27000-27015
      tcp_flags: ["!ack", "syn"]
    action: pass
  - name: filter-3
    match:
      protocol: icmp
      icmp_type: 8
      icmp_code: 0
    disabled: true
    action: drop
    ban: 60s
    unproven: true
  - name: filter-4
    match:
      src: "10.50.0.4/32"
      dst: "10.0.0.0/8"
      ttl: 2-255
      length: 0-1500
      dscp: 46
    action: drop
    ban: 1s
    unproven: true
  - name: filter-5
    action: limit
    rate: 1000/s
    burst: 1000
    ban: 5s
    unproven: true
  - name: filter-6
    match:
      src: "2001:db8::1/128"
    action: limit
    rate: 1000B/s
    burst: 1514
    per: flow
`

func TestRead(t *testing.T) {
	c, err := Read("x.conf", sample)
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy != samplePolicy {
		t.Errorf("the policy is\n%s", c.Policy)
	}
	if _, err := firewall.Parse("p.yaml", []byte(c.Policy), firewall.Host{}); err != nil {
		t.Error(err)
	}
	if strings.Join(c.Devices, " ") != "ens18 ens19" {
		t.Errorf("devices %q", c.Devices)
	}
	notes := strings.Join(c.Notes, "\n")
	for _, want := range []string{
		"x.conf:2: verbose is left out", "x.conf:3: log_file is left out", "x.conf:4: interface: to have it filtered: bearcat fw attach ens18 ens19",
		"x.conf:5: pin_maps", "x.conf:6: update_time", "x.conf:7: no_stats", "x.conf:8: stats_per_second", "x.conf:9: stdout_update_time",
		"x.conf:14: log is left out of filter-1", "x.conf:22: dst_ip: 10.1.2.3/8 is taken as 10.0.0.0/8", "x.conf:22: tos", "x.conf:22: filter-4 bans for 1s",
		"x.conf:23: tcp_dport is left out of filter-5: without tcp_enabled", "x.conf:23: ip_pps: filter-5 counts", "x.conf:24: flow_bps",
		"x.conf:26: ip_drop_ranges: 198.51.100.7/24 is taken as 198.51.100.0/24",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not said in\n%s", want, notes)
		}
	}
	if n := len(c.Notes); n != 16 {
		t.Errorf("%d notes:\n%s", n, notes)
	}
}

// TestReadOldNames wants what versions before wrote to be the same policy.
func TestReadOldNames(t *testing.T) {
	now, err := Read("x", `interface = "eth0"; update_time = 1; no_stats = true; filters = ({ enabled = true; action = 0; src_ip = "10.0.0.1"; block_time = 3; ip_pps = 5; },
		{ action = 1; dst_ip = "10.0.0.1"; }, { action = 0; src_ip6 = "::1"; block_time = 0; icmp_enabled = true; }, { action = 1; dst_ip6 = "::1"; });`)
	if err != nil {
		t.Fatal(err)
	}
	old, err := Read("x", `interfaces = "eth0"; updatetime = 1; nostats = true; filters = ({ enabled = true; action = 0; srcip = "10.0.0.1"; blocktime = 3; pps = 5; },
		{ action = 1; dstip = "10.0.0.1"; }, { action = 0; srcip6 = "::1"; blocktime = 0; icmp_enabled = true; }, { action = 1; dstip6 = "::1"; });`)
	if err != nil {
		t.Fatal(err)
	}
	if now.Policy != old.Policy || !strings.Contains(now.Policy, "protocol: icmpv6") || len(old.Devices) != 1 || len(old.Notes) != len(now.Notes)+1 {
		t.Errorf("%+v\nis not\n%+v", old, now)
	}
}

// TestReadMistakes wants each to be refused, with the key and the line.
func TestReadMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"interface = \"a\";\nspeed = 3;":                                "x:2: speed: no version",
		"filters = 3;":                                                  "x:1: filters: it is a whole number, not a list",
		"filters = (3);":                                                "x:1: filters: a whole number stands where a group",
		"filters = ({\naction = 0;\nmystery = 1;\n});":                  "x:3: mystery: no version",
		"filters = ({ action = 2; });":                                  "x:1: action: 2 is neither",
		"filters = ({ action = \"0\"; });":                              "x:1: action: it is a string, not a whole number",
		"filters = ({ enabled = 1; });":                                 "x:1: enabled: it is a whole number, not true or false",
		"filters = ({ src_ip = \"10.0.0.256\"; });":                     "neither an address nor a prefix",
		"filters = ({ src_ip = \"::1\"; });":                            "x:1: src_ip: ::1/128 is of the other family",
		"filters = ({ src_ip = \"10.0.0.1\";\ndst_ip6 = \"::1\"; });":   "x:2: dst_ip6: src_ip of line 1 is of the other family",
		"filters = ({ src_ip6 = \"::ffff:10.0.0.0/120\"; });":           "own form",
		"filters = ({ src_ip = \"10.0.0.1\"; srcip = \"10.0.0.2\"; });": "x:1: srcip: src_ip of line 1 says the same",
		"filters = ({ min_ttl = 300; });":                               "x:1: min_ttl: 300 is not a number from 0 to 255",
		"filters = ({ min_len = 9; max_len = 8; });":                    "holds for no packet",
		"filters = ({ tos = 1; });":                                     "congestion marks",
		"filters = ({ tcp_enabled = true; udp_enabled = true; });":      "udp_enabled: tcp_enabled of line 1 holds as well",
		"filters = ({ udp_enabled = true; udp_dport = \"9-1\"; });":     "udp_dport: \"9-1\" is neither a port",
		"filters = ({ udp_enabled = true; udp_dport = 1.5; });":         "udp_dport: it is a number with a fraction",
		"filters = ({ action = 0; ip_pps = 1; flow_pps = 1; });":        "flow_pps: the filter also has ip_pps in line 1",
		"filters = ({ action = 1; ip_bps = 1; });":                      "ip_bps: filter-1 passes what is over",
		"filters = ({ action = 0; ip_bps = 9000000000000; });":          "more than any device sends",
		"filters = ({ action = 0; block_time = 99999999; });":           "a ban lasts up to",
		"ip_drop_ranges = (1);":                                         "ip_drop_ranges: a whole number stands where a string",
		"ip_drop_ranges = (\n\"10.0.0.0/8\",\n\"x\");":                  "x:3: ip_drop_ranges: \"x\"",
		"interface = \"a\"":                                             "",
		"a = 1;\n\na = 2;":                                              "x:3: a: it is set in line 1 already",
		"@include \"more.conf\"":                                        "x:1: @include is not followed",
		"/* no end":                                                     "does not end",
		"a = \"no end":                                                  "a string does not end",
		"a = \"\\q\"":                                                   "is not a string: escapes",
		"a = (1 2)":                                                     "without a comma",
		"a = (1,":                                                       "the file ends",
		"a = { b = 1;":                                                  "has no }",
		"a = 1; }":                                                      "without its {",
		"a 1":                                                           "there is no =",
		"a = 0x99999999999999999":                                       "not a value that is understood",
		"a = ;":                                                         "stands where a value should",
		"= 1":                                                           "name of a setting",
		"a = " + strings.Repeat("(", 100):                               "deep",
	} {
		_, err := Read("x", text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s gives %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s gives %v, want %q in it", text, err, want)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		sample: true, "verbose = 1; interface = \"eth0\";": true, "ip_drop_ranges: ()": true,
		"192.0.2.1\n# filters = (\n": false, "set s { elements = { 1.2.3.4 } }": false, "add x 1.2.3.4": false,
	} {
		if Is(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// FuzzRead wants that what is taken is a policy.
func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Add("filters=({action=0;pps=1;src_ip=\"0.0.0.0\"});")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Read("x", s)
		if err != nil {
			return
		}
		if _, err := firewall.Parse("p", []byte(c.Policy), firewall.Host{}); err != nil {
			t.Errorf("%v\n%s", err, c.Policy)
		}
	})
}
