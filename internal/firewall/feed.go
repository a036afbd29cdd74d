package firewall

import (
	"net/netip"
	"regexp"
	"strings"
)

// Refused is a line of a feed that names no address.
type Refused struct {
	Line int
	Text string
}

var nftElements = regexp.MustCompile(`elements\s*=\s*\{([^}]*)\}`)

// Feed reads lists of addresses and prefixes: one a line, with comments after # or ;,
// the output of ipset save, or of nft list set. Prefixes are masked. What it does not
// understand is given back, the rest holds.
func Feed(text string) (prefixes []netip.Prefix, refused []Refused) {
	seen := map[netip.Prefix]bool{}
	take := func(n int, s string) {
		p, err := Prefix(s)
		if err != nil { // a feed's host bits say nothing
			if p, err = netip.ParsePrefix(s); err != nil || p.Addr().Is4In6() {
				refused = append(refused, Refused{n, s})
				return
			}
		}
		if p = p.Masked(); !seen[p] {
			seen[p] = true
			prefixes = append(prefixes, p)
		}
	}
	if sets := nftElements.FindAllStringSubmatchIndex(text, -1); sets != nil {
		for _, at := range sets {
			line := 1 + strings.Count(text[:at[2]], "\n")
			for e := range strings.SplitSeq(text[at[2]:at[3]], ",") {
				if f := strings.Fields(e); len(f) > 0 { // what follows is a timeout, a comment
					take(line, f[0])
				}
				line += strings.Count(e, "\n")
			}
		}
		return prefixes, refused
	}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		f := strings.Fields(line)
		switch {
		case len(f) == 0, f[0] == "create":
		case f[0] == "add" && len(f) > 2:
			take(n, f[2])
		default:
			take(n, f[0])
		}
	}
	return prefixes, refused
}
