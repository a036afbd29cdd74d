package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// Host is what the reading of a policy asks of the host that it is for.
type Host struct {
	// Device gives the index of a device by its name; without it, devices are left at
	// index 0.
	Device func(string) (uint32, error)
	// Places reads databases of countries and autonomous systems.
	Places func(files []string) (Networks, error)
}

// Networks tells which networks are of a country, by its code of two letters, or of an
// autonomous system, by its number.
type Networks interface {
	Country(code string) []netip.Prefix
	System(number uint32) []netip.Prefix
}

// Region is a country or an autonomous system that rules name, and how many prefixes it
// has.
type Region struct {
	Name     string `json:"name"`
	Prefixes int    `json:"prefixes"`
}

// databases are read when the first rule asks for them.
type databases struct {
	files list
	open  func([]string) (Networks, error)
	from  Networks
	err   error
	used  []Region
}

func (d *databases) networks() (Networks, error) {
	if d.from != nil || d.err != nil {
		return d.from, d.err
	}
	if len(d.files) == 0 {
		return nil, errors.New("the policy names no file to look it up in: add databases: [/var/lib/GeoIP/GeoLite2-Country.mmdb]")
	}
	for _, f := range d.files {
		if !filepath.IsAbs(f) { // it is read again from elsewhere, such as at boot
			return nil, fmt.Errorf("databases: %q is not a whole path that begins with /", f)
		}
	}
	if d.open == nil {
		return nil, errors.New("databases of countries are not read here")
	}
	from, err := d.open(d.files)
	if d.err = err; err == nil {
		d.from = from
	}
	return d.from, d.err
}

// find looks one place up.
func (d *databases) find(name string, look func(Networks) []netip.Prefix) ([]netip.Prefix, error) {
	from, err := d.networks()
	if err != nil {
		return nil, err
	}
	l := look(from)
	if len(l) == 0 {
		return nil, fmt.Errorf("the databases have no network of %s", name)
	}
	for _, u := range d.used {
		if u.Name == name {
			return l, nil
		}
	}
	d.used = append(d.used, Region{name, len(l)})
	return l, nil
}

func (d *databases) countries(l list) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l {
		code := strings.ToUpper(s)
		if len(code) != 2 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return nil, fmt.Errorf("%q is not the code of a country such as DE", s)
		}
		found, err := d.find("country "+code, func(n Networks) []netip.Prefix { return n.Country(code) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (d *databases) systems(l list) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range l {
		number, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not the number of an autonomous system such as AS64500", s)
		}
		found, err := d.find(fmt.Sprintf("AS%d", number), func(n Networks) []netip.Prefix { return n.System(uint32(number)) })
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// places makes one list of addresses of all that a rule says of the other end, which is the
// destination of what goes out, so that the tables and the program know of addresses only.
func (r *reader) places(rule *Rule, f *fileRule) error {
	m, field, key := &rule.Match, Src, "src"
	addresses := &m.Src
	if rule.Out {
		field, addresses, key = Dst, &m.Dst, "dst"
	}
	var within, without [][]netip.Prefix
	for _, x := range []struct {
		name string
		list list
		find func(list) ([]netip.Prefix, error)
		to   *[][]netip.Prefix
	}{
		{"match: country", f.Match.Country, r.databases.countries, &within}, {"match: asn", f.Match.ASN, r.databases.systems, &within},
		{"not: country", f.Not.Country, r.databases.countries, &without}, {"not: asn", f.Not.ASN, r.databases.systems, &without},
	} {
		if x.list == nil {
			continue
		}
		if len(x.list) == 0 {
			return fmt.Errorf("%s: an empty list matches nothing: leave the field or the rule out", x.name)
		}
		found, err := x.find(x.list)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		*x.to = append(*x.to, found)
	}
	if len(within)+len(without) == 0 {
		return nil
	}
	switch {
	case m.Has&field == 0:
	case m.Not&field == 0:
		within = append(within, *addresses)
	default:
		without = append(without, *addresses)
	}
	m.Has |= field
	if len(within) == 0 {
		m.Not |= field
		var err error
		*addresses, err = narrow([][]netip.Prefix{slices.Concat(without...)}, nil)
		return err
	}
	m.Not &^= field
	var err error
	if *addresses, err = narrow(within, without); err == nil && len(*addresses) == 0 {
		err = fmt.Errorf("no address fits all that the rule says of %s, country and asn, so it would never hold: leave it out", key)
	}
	return err
}

// narrow gives what is in each list of within and in none of without.
func narrow(within, without [][]netip.Prefix) ([]netip.Prefix, error) {
	set := func(l []netip.Prefix) (*netipx.IPSet, error) {
		var b netipx.IPSetBuilder
		for _, p := range l {
			b.AddPrefix(p)
		}
		return b.IPSet()
	}
	var b netipx.IPSetBuilder
	for i, l := range within {
		s, err := set(l)
		if err != nil {
			return nil, fmt.Errorf("joining prefixes: %w", err)
		}
		if i == 0 {
			b.AddSet(s)
		} else {
			b.Intersect(s)
		}
	}
	for _, l := range without {
		for _, p := range l {
			b.RemovePrefix(p)
		}
	}
	s, err := b.IPSet()
	if err != nil {
		return nil, fmt.Errorf("joining prefixes: %w", err)
	}
	return s.Prefixes(), nil
}
