// Package geo reads which networks are of a country or of an autonomous system, from
// databases in MaxMind's format (MMDB) that the user supplies. Files go in; lists of
// prefixes come out, for the policies of package firewall. cmd/bearcat calls it.
package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Places has the networks of some databases, of each country and autonomous system.
type Places struct {
	countries map[string][]netip.Prefix
	systems   map[uint32][]netip.Prefix
}

// Open reads databases whole. They may be of countries, of autonomous systems, or both;
// what two of them say of a country is taken together.
func Open(files []string) (*Places, error) {
	p := &Places{map[string][]netip.Prefix{}, map[uint32][]netip.Prefix{}}
	for _, file := range files {
		r, err := maxminddb.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading the database %s: %w: it must be a file in MaxMind's format, such as GeoLite2-Country.mmdb", file, err)
		}
		err = p.read(r)
		_ = r.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("reading the database %s: %w: fetch it anew", file, err)
		}
	}
	return p, nil
}

// Country gives the networks of a country by its code of two letters, such as DE.
func (p *Places) Country(code string) []netip.Prefix { return p.countries[code] }

// System gives the networks of an autonomous system by its number.
func (p *Places) System(number uint32) []netip.Prefix { return p.systems[number] }

// place is what a record says.
type place struct {
	country string
	system  uint32
}

func (p *Places) read(r *maxminddb.Reader) error {
	known := map[uintptr]place{} // many networks share a record
	// A tree has fewer leaves than that, and one more for each way to its part of IPv4: in a
	// broken one the same node may be come to over and over. All leaves are asked for, so that
	// they can be counted.
	left := 8 * (uint64(r.Metadata.NodeCount) + 1)
	for n := range r.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		if err := n.Err(); err != nil {
			return err
		}
		if left--; left == 0 {
			return errors.New("its tree goes in circles")
		}
		prefix := n.Prefix()
		if !n.Found() || isAlias(prefix) {
			continue
		}
		x, ok := known[n.Offset()]
		if !ok {
			var record map[string]any
			if err := n.Decode(&record); err != nil {
				return err
			}
			x = readPlace(record)
			known[n.Offset()] = x
		}
		if x.country != "" {
			p.countries[x.country] = join(p.countries[x.country], prefix)
		}
		if x.system != 0 {
			p.systems[x.system] = join(p.systems[x.system], prefix)
		}
	}
	return nil
}

// aliases are where databases have the networks of IPv4 once more, in IPv6.
var aliases = []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16")}

func isAlias(p netip.Prefix) bool {
	return p.Addr().Is6() && slices.ContainsFunc(aliases, func(a netip.Prefix) bool { return a.Contains(p.Addr()) })
}

// join adds a prefix, and makes one of the last two as long as they are halves of one:
// networks come in the order of their addresses, split by what else is known of them.
func join(l []netip.Prefix, p netip.Prefix) []netip.Prefix {
	for len(l) > 0 && p.Bits() > 0 {
		last := l[len(l)-1]
		whole := netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
		if last.Bits() != p.Bits() || last == p || !whole.Contains(last.Addr()) {
			break
		}
		l, p = l[:len(l)-1], whole
	}
	return append(l, p)
}

// readPlace understands the records of MaxMind and DB-IP, where a country is a map with
// its iso_code, and flat ones, where it is the code itself.
func readPlace(record map[string]any) place {
	var x place
	for _, key := range []string{"country", "country_code", "registered_country"} {
		v := record[key]
		if m, ok := v.(map[string]any); ok {
			v = m["iso_code"]
		}
		if s, ok := v.(string); ok && len(s) == 2 {
			x.country = strings.ToUpper(s)
			break
		}
	}
	for _, key := range []string{"autonomous_system_number", "asn"} {
		v, ok := record[key]
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(fmt.Sprint(v), "AS"), 10, 32); err == nil {
			x.system = uint32(n)
			break
		}
	}
	return x
}
