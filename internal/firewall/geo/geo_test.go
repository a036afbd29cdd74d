package geo_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall/geo"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func country(code string) mmdbtype.Map {
	return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
}

// write makes a database and gives its bytes.
func write(t testing.TB, version int, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", IPVersion: version, IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err == nil {
			err = tree.Insert(n, record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.mmdb")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func prefixes(l ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range l {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestOpen(t *testing.T) {
	places, err := geo.Open([]string{
		file(t, write(t, 6, map[string]mmdbtype.Map{
			"192.0.2.0/25": country("DE"), "198.51.100.0/24": country("FR"), "2001:db8::/33": country("DE"),
			// halves that differ in what a policy does not ask for
			"203.0.113.0/25":   {"country": mmdbtype.Map{"iso_code": mmdbtype.String("DE")}, "city": mmdbtype.String("A")},
			"203.0.113.128/25": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("DE")}, "city": mmdbtype.String("B")},
			"10.1.0.0/16":      {"registered_country": mmdbtype.Map{"iso_code": mmdbtype.String("IT")}},
		})),
		file(t, write(t, 4, map[string]mmdbtype.Map{
			"192.0.2.0/24":    {"autonomous_system_number": mmdbtype.Uint32(64500)},
			"198.51.100.0/25": {"asn": mmdbtype.String("AS64501"), "country_code": mmdbtype.String("es")},
		})),
	})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string][]netip.Prefix{
		"DE": prefixes("192.0.2.0/25", "203.0.113.0/24", "2001:db8::/33"), "FR": prefixes("198.51.100.0/24"), "IT": prefixes("10.1.0.0/16"),
		"ES": prefixes("198.51.100.0/25"), "XX": nil,
	} {
		if got := places.Country(code); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
	for n, want := range map[uint32][]netip.Prefix{64500: prefixes("192.0.2.0/24"), 64501: prefixes("198.51.100.0/25"), 1: nil} {
		if got := places.System(n); !slices.Equal(got, want) {
			t.Errorf("AS%d: %v, want %v", n, got, want)
		}
	}
}

func TestOpenMistakes(t *testing.T) {
	for what, name := range map[string]string{"none": "/nonexistent.mmdb", "text": file(t, []byte("country: DE\n")), "empty": file(t, nil)} {
		if _, err := geo.Open([]string{name}); err == nil || !strings.Contains(err.Error(), "MaxMind's format") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzOpen reads broken databases: they give an error or lists of prefixes.
func FuzzOpen(f *testing.F) {
	whole := write(f, 6, map[string]mmdbtype.Map{"192.0.2.0/25": country("DE"), "2001:db8::/33": {"asn": mmdbtype.Uint32(5)}})
	f.Add(uint16(0), byte(0), whole)
	f.Add(uint16(3), byte(0xff), whole)
	f.Add(uint16(len(whole)-20), byte(0x1f), whole)
	f.Fuzz(func(t *testing.T, at uint16, by byte, b []byte) {
		b = bytes.Clone(b)
		if int(at) < len(b) {
			b[at] ^= by
		}
		p, err := geo.Open([]string{file(t, b)})
		if (p == nil) == (err == nil) {
			t.Errorf("%v with the error %v", p, err)
		}
		if p == nil {
			return
		}
		for _, x := range p.Country("DE") {
			if !x.IsValid() {
				t.Errorf("an invalid prefix %v", x)
			}
		}
	})
}
