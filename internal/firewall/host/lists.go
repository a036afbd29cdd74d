package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Lists are those of a firewall that is loaded.
type Lists interface {
	Allow(p netip.Prefix) error
	Block(p netip.Prefix, d time.Duration) error
	// BlockAll blocks for ever, and says how many of the first were.
	BlockAll(p []netip.Prefix) (int, error)
	Ban(p netip.Prefix, d time.Duration) error
}

// Protect puts what must stay reachable on the allow list. This host's own addresses
// send nothing to it, so they need no place there.
func Protect(l Lists, found []Protected) error {
	for _, x := range found {
		if x.Own {
			continue
		}
		if err := l.Allow(netip.PrefixFrom(x.Addr, x.Addr.BitLen())); err != nil {
			return fmt.Errorf("protecting %s, %s: %w", x.Addr, x.Why, err)
		}
	}
	return nil
}

// Refuse gives an error where shutting out p would shut out what is protected.
func Refuse(l []Protected, p netip.Prefix) error {
	if hit := Covered(l, p); len(hit) > 0 {
		return fmt.Errorf("%s holds %s, %s: --override does it all the same", p, hit[0].Addr, hit[0].Why)
	}
	return nil
}

// Sift takes out what would shut out what is protected, and says so in sentences.
func Sift(l []Protected, prefixes []netip.Prefix) (taken []netip.Prefix, left []string) {
	for _, p := range prefixes {
		if hit := Covered(l, p); len(hit) > 0 {
			left = append(left, fmt.Sprintf("%s left out: it holds %s, %s", p, hit[0].Addr, hit[0].Why))
			continue
		}
		taken = append(taken, p)
	}
	return taken, left
}

// Restore puts back what the journal has of some lists, and writes it anew without what
// has gone. bad is how many of its lines cannot be read.
func (s State) Restore(l Lists, lists ...List) (bad int, err error) {
	entries, bad, err := s.Lists()
	if err != nil {
		return bad, err
	}
	var ever []netip.Prefix
	for _, e := range entries {
		if !slices.Contains(lists, e.List) {
			continue
		}
		left := time.Duration(0)
		if !e.Until.IsZero() {
			left = max(time.Until(e.Until), time.Millisecond) // it may end right now
		} else if e.List == BlockList {
			ever = append(ever, e.Prefix) // a million of them together
			continue
		}
		switch e.List {
		case AllowList:
			err = l.Allow(e.Prefix)
		case BlockList:
			err = l.Block(e.Prefix, left)
		case BanList:
			err = l.Ban(e.Prefix, left)
		}
		if err != nil {
			return bad, fmt.Errorf("restoring the lists: %w", err)
		}
	}
	if _, err := l.BlockAll(ever); err != nil {
		return bad, fmt.Errorf("restoring the lists: %w", err)
	}
	return bad, s.Compact(entries)
}

// Comments gives what was said of entries, by list and prefix: "ban 192.0.2.1/32".
func (s State) Comments() (map[string]string, error) {
	l, _, err := s.Lists()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range l {
		said := c.Comment
		if c.Alert != nil {
			said = c.Alert.String()
		}
		out[string(c.List)+" "+c.Prefix.String()] = said
	}
	return out, nil
}

// Causes gives the alerts that bans go back to, by prefix.
func (s State) Causes() (map[netip.Prefix]*Cause, error) {
	l, _, err := s.Lists()
	if err != nil {
		return nil, err
	}
	out := map[netip.Prefix]*Cause{}
	for _, c := range l {
		if c.List == BanList && c.Alert != nil {
			out[c.Prefix] = c.Alert
		}
	}
	return out, nil
}

// Device gives the index of a device, as policies name it.
func Device(name string) (uint32, error) {
	d, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("there is none: ip link lists them")
	}
	return uint32(d.Index), nil
}
