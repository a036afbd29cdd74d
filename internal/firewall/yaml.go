package firewall

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// list is one value or a sequence of them.
type list []string

func (l *list) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = list{n.Value}
		return nil
	}
	var s []string
	if err := n.Decode(&s); err != nil {
		return err
	}
	*l = s
	return nil
}

type fileMatch struct {
	Src      list `yaml:"src"`
	Dst      list `yaml:"dst"`
	SrcPort  list `yaml:"sport"`
	DstPort  list `yaml:"dport"`
	Protocol list `yaml:"protocol"`
	TCPFlags list `yaml:"tcp_flags"`
	ICMPType list `yaml:"icmp_type"`
	ICMPCode list `yaml:"icmp_code"`
	Length   list `yaml:"length"`
	TTL      list `yaml:"ttl"`
	DSCP     list `yaml:"dscp"`
	Fragment list `yaml:"fragment"`
	VLAN     list `yaml:"vlan"`
	MAC      list `yaml:"mac"`
	Device   list `yaml:"device"`
	Country  list `yaml:"country"`
	ASN      list `yaml:"asn"`

	Established list `yaml:"established"`

	Payload *filePayload `yaml:"payload"`
}

type fileRule struct {
	Name      string    `yaml:"name"`
	Comment   string    `yaml:"comment"`
	Direction string    `yaml:"direction"`
	Disabled  bool      `yaml:"disabled"`
	Match     fileMatch `yaml:"match"`
	Not       fileMatch `yaml:"not"`
	Action    string    `yaml:"action"`
	Rate      string    `yaml:"rate"`
	Burst     string    `yaml:"burst"`
	Per       string    `yaml:"per"`
	Ban       string    `yaml:"ban"`
	Unproven  bool      `yaml:"unproven"`
	Grow      bool      `yaml:"grow"`
	Monitor   bool      `yaml:"monitor"`
}

type filePolicy struct {
	Default    string          `yaml:"default"`
	DefaultOut string          `yaml:"default_out"`
	Malformed  string          `yaml:"malformed"`
	Unparsed   string          `yaml:"unparsed"`
	Monitor    bool            `yaml:"monitor"`
	Databases  list            `yaml:"databases"`
	Sets       map[string]list `yaml:"sets"`
	Guards     []yaml.Node     `yaml:"guards"`
	Rules      []yaml.Node     `yaml:"rules"`
}

// Parse reads a policy. name is the file's, for errors.
func Parse(name string, text []byte, on Host) (*Policy, error) {
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	var f filePolicy
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it holds more than one YAML document: remove all after the first", name)
	}
	p := Empty()
	p.Monitor = f.Monitor
	for _, x := range []struct {
		key, value string
		to         *Action
	}{{"default", f.Default, &p.Default}, {"default_out", f.DefaultOut, &p.DefaultOut}, {"malformed", f.Malformed, &p.Malformed}, {"unparsed", f.Unparsed, &p.Unparsed}} {
		switch x.value {
		case "":
		case "pass":
			*x.to = Pass
		case "drop":
			*x.to = Drop
		default:
			return nil, fmt.Errorf("%s: %s: %q is neither pass nor drop", name, x.key, x.value)
		}
	}
	if len(f.Rules) > MaxRules {
		return nil, fmt.Errorf("%s: %d rules are more than %d: put addresses into sets, or block them with bearcat fw add", name, len(f.Rules), MaxRules)
	}
	r := reader{sets: f.Sets, device: on.Device, databases: databases{files: f.Databases, open: on.Places}}
	seen := map[string]int{}
	var errs []error
	p.Guards, errs = guards(name, f.Guards)
	for i := range f.Rules {
		n := &f.Rules[i]
		rule, err := r.rule(n)
		if err == nil && seen[rule.Name] != 0 {
			err = fmt.Errorf("the rule of line %d is also called %q: names are unique, counters go by them", seen[rule.Name], rule.Name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, n.Line, err))
			continue
		}
		seen[rule.Name] = n.Line
		p.Rules = append(p.Rules, rule)
	}
	p.Regions = r.databases.used
	return p, errors.Join(errs...)
}

// decode reads a node and refuses keys that it does not know.
func decode(n *yaml.Node, to any) error {
	// Decode of a node does not look at unknown keys, so it goes through text.
	text, err := yaml.Marshal(n)
	if err == nil {
		d := yaml.NewDecoder(strings.NewReader(string(text)))
		d.KnownFields(true)
		err = d.Decode(to)
	}
	if err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) {
			err = errors.New(strings.Join(te.Errors, "; "))
		}
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nil
}

type reader struct {
	sets      map[string]list
	device    func(string) (uint32, error)
	databases databases
}

func (r *reader) rule(n *yaml.Node) (Rule, error) {
	var f fileRule
	if err := decode(n, &f); err != nil {
		return Rule{}, err
	}
	out := Rule{Name: f.Name, Comment: f.Comment, Disabled: f.Disabled, Unproven: f.Unproven, Grow: f.Grow, Monitor: f.Monitor}
	if f.Name == "" || strings.ContainsAny(f.Name, " \t\n") {
		return out, fmt.Errorf("name: %q: a rule needs a name without blanks", f.Name)
	}
	switch f.Direction {
	case "", "in":
	case "out":
		out.Out = true
	default:
		return out, fmt.Errorf("direction: %q is neither in nor out", f.Direction)
	}
	if err := r.match(&out.Match, &f.Match, false); err != nil {
		return out, fmt.Errorf("match: %w", err)
	}
	if err := r.match(&out.Match, &f.Not, true); err != nil {
		return out, fmt.Errorf("not: %w", err)
	}
	if err := r.places(&out, &f); err != nil {
		return out, err
	}
	return out, r.action(&out, &f)
}

func (r *reader) action(out *Rule, f *fileRule) error {
	switch f.Action {
	case "pass":
	case "drop":
		out.Action = Drop
	case "count":
		out.Action = Count
	case "limit":
		out.Action = Limit
		if err := out.limit(f); err != nil {
			return err
		}
	default:
		return fmt.Errorf("action: %q is none of pass, drop, count, limit", f.Action)
	}
	if out.Action != Limit && f.Rate+f.Burst+f.Per != "" {
		return errors.New("rate, burst and per belong to action: limit")
	}
	if f.Ban == "" {
		if f.Grow || f.Unproven {
			return errors.New("grow and unproven belong to a ban: add ban: 10m")
		}
		return nil
	}
	if out.Out {
		return errors.New("ban: it is of a source, and what goes out has this host as its source")
	}
	if out.Action != Drop && out.Action != Limit {
		return fmt.Errorf("ban: only a rule that drops or limits can ban")
	}
	var err error
	out.Ban, err = parseBan(f.Ban)
	return err
}

func parseBan(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > MaxBan {
		return 0, fmt.Errorf("ban: %q is not a time from 1s to %s, such as 10m", s, MaxBan)
	}
	return d, nil
}

// MaxBan is the longest that a source is banned: bans always expire.
const MaxBan = 7 * 24 * time.Hour

func parseRate(s string) (uint32, time.Duration, error) {
	count, unit, _ := strings.Cut(s, "/")
	n, err := parseUint(count, math.MaxInt32)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n == 0 || per == 0 {
		return 0, 0, fmt.Errorf("%q is not a rate such as 100/s, 10/m or 5/h", s)
	}
	if time.Duration(n) > per {
		return 0, 0, fmt.Errorf("%q is more than one packet a nanosecond", s)
	}
	return uint32(n), per, nil
}

// Network reads an address or a prefix, of which bits beyond its length do not count.
func Network(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		s = p.Masked().String()
	}
	return Prefix(s)
}

// Prefix reads an address or a prefix. Bits beyond the prefix are an error.
func Prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q: an address with a zone: leave out what follows the %%", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix such as 192.0.2.0/24", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: write an IPv4 prefix in its own form", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits set beyond /%d: did you mean %s?", s, p.Bits(), p.Masked())
	}
	return p, nil
}

func (r *reader) prefixes(l list) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l {
		if name, ok := strings.CutPrefix(s, "@"); ok {
			set, ok := r.sets[name]
			if !ok {
				return nil, fmt.Errorf("there is no set %q", name)
			}
			for _, s := range set {
				p, err := Prefix(s)
				if err != nil {
					return nil, fmt.Errorf("set %s: %w", name, err)
				}
				out = append(out, p)
			}
			continue
		}
		p, err := Prefix(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (r *reader) setDevice(m *Match, s string) error {
	m.DeviceName = s
	if r.device == nil {
		return nil
	}
	index, err := r.device(s)
	if err != nil {
		return fmt.Errorf("device %q: %w", s, err)
	}
	m.Device = index
	return nil
}

func setMAC(m *Match, s string) error {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return fmt.Errorf("%q is not a MAC address such as 02:00:00:00:00:01", s)
	}
	copy(m.MAC[:], mac)
	return nil
}
