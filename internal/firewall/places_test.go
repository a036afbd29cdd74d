package firewall

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// world has two countries and two systems that overlap.
type world struct{}

func (world) Country(code string) []netip.Prefix {
	return map[string][]netip.Prefix{
		"DE": {netip.MustParsePrefix("10.0.0.0/9"), netip.MustParsePrefix("10.192.0.0/15"), netip.MustParsePrefix("2001:db8::/33")},
		"FR": {netip.MustParsePrefix("10.128.0.0/10")},
	}[code]
}

func (world) System(n uint32) []netip.Prefix {
	return map[uint32][]netip.Prefix{
		1: {netip.MustParsePrefix("10.64.0.0/10"), netip.MustParsePrefix("10.128.0.0/12"), netip.MustParsePrefix("10.193.0.0/16"), netip.MustParsePrefix("10.255.0.0/16"), netip.MustParsePrefix("2001:db8:4000::/34")},
		2: {netip.MustParsePrefix("10.0.0.0/12"), netip.MustParsePrefix("10.200.7.0/24")},
	}[n]
}

func readPlaces(text string) (*Policy, error) {
	return Parse("p", []byte(text), Host{Places: func([]string) (Networks, error) { return world{}, nil }})
}

func inAny(l []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(l, func(p netip.Prefix) bool { return p.Contains(a) })
}

// TestPlaces makes rules of all combinations of src, country and asn under match and not,
// and wants each address to be in the rule's list when each of them says so.
func TestPlaces(t *testing.T) {
	src := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/10"), netip.MustParsePrefix("10.193.5.0/24"), netip.MustParsePrefix("10.254.0.0/15"), netip.MustParsePrefix("2001:db8::/32")}
	lists := map[string][]netip.Prefix{"src": src, "country": world{}.Country("DE"), "asn": world{}.System(1)}
	values := map[string]string{"src": `[10.0.0.0/10, 10.193.5.0/24, 10.254.0.0/15, "2001:db8::/32"]`, "country": "de", "asn": "AS1"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for shape := range 27 {
		var match, not []string
		says := map[string]bool{}
		for i, key := range []string{"src", "country", "asn"} {
			switch (shape / []int{1, 3, 9}[i]) % 3 {
			case 1:
				match, says[key] = append(match, key+": "+values[key]), true
			case 2:
				not, says[key] = append(not, key+": "+values[key]), false
			}
		}
		text := fmt.Sprintf("databases: [/x]\nrules: [{name: a, action: drop, match: {%s}, not: {%s}}]", strings.Join(match, ", "), strings.Join(not, ", "))
		p, err := readPlaces(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		m := p.Rules[0].Match
		for range 2000 {
			a := netip.AddrFrom4([4]byte{10, byte(rnd.Uint32()), byte(rnd.IntN(8)), 1})
			if rnd.IntN(4) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(rnd.Uint32())})
			}
			want := true
			for key, has := range says {
				want = want && inAny(lists[key], a) == has
			}
			if got := m.Has&Src == 0 || inAny(m.Src, a) == (m.Not&Src == 0); got != want {
				t.Fatalf("%s: %s fits: %v, want %v", text, a, got, want)
			}
		}
	}
}

func TestPlacesOfSeveral(t *testing.T) {
	p, err := readPlaces("databases: [/x]\nrules:\n- {name: a, action: drop, match: {country: [DE, FR]}}\n- {name: b, action: drop, match: {asn: [1, 2], country: FR}}")
	if err != nil {
		t.Fatal(err)
	}
	if want := []Region{{"country DE", 3}, {"country FR", 1}, {"AS1", 5}, {"AS2", 2}}; len(p.Regions) != 4 || !slices.Contains(p.Regions, want[0]) || !slices.Contains(p.Regions, want[3]) {
		t.Errorf("places %v, want %v", p.Regions, want)
	}
	for text, want := range map[string]string{
		"rules: [{name: a, action: drop, match: {country: DE}}]":                                        "add databases:",
		"databases: [x]\nrules: [{name: a, action: drop, match: {country: DE}}]":                        "whole path",
		"databases: [/x]\nrules: [{name: a, action: drop, match: {country: Germany}}]":                  "code of a country",
		"databases: [/x]\nrules: [{name: a, action: drop, match: {country: XX}}]":                       "no network of country XX",
		"databases: [/x]\nrules: [{name: a, action: drop, not: {asn: [1, AS9]}}]":                       "no network of AS9",
		"databases: [/x]\nrules: [{name: a, action: drop, not: {asn: ASX}}]":                            "number of an autonomous system",
		"databases: [/x]\nrules: [{name: a, action: drop, match: {asn: []}}]":                           "an empty list",
		"databases: [/x]\nrules: [{name: a, action: drop, match: {src: 192.0.2.1, country: DE}}]":       "never hold",
		"databases: [/x]\nrules: [{name: a, action: drop, match: {country: DE}, not: {country: [DE]}}]": "never hold",
	} {
		if _, err := readPlaces(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestBrokenDatabase wants the error once for each rule, and the file read once.
func TestBrokenDatabase(t *testing.T) {
	opened := 0
	_, err := Parse("p", []byte("databases: [/x]\nrules: [{name: a, action: drop, match: {country: DE}}, {name: b, action: drop, not: {asn: 1}}]"),
		Host{Places: func([]string) (Networks, error) { opened++; return (*world)(nil), fmt.Errorf("it is broken") }})
	if err == nil || strings.Count(err.Error(), "it is broken") != 2 || opened != 1 {
		t.Errorf("opened %d times: %v", opened, err)
	}
}
