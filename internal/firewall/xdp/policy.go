package xdp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/compile"
	"github.com/cilium/ebpf"
)

// As in fw.h and tables.h.
const (
	rowWords  = 160
	headWords = 16
	heads     = 4096
	counters  = 20480
	flats     = 4 // of each slot
)

type row [rowWords]uint64

// wait returns when no frame is judged any more that began before the call.
func (f *Firewall) wait() error {
	var inner *ebpf.Map
	if err := f.objs.Rows.Lookup(uint32(0), &inner); err != nil {
		if errors.Is(err, ebpf.ErrKeyNotExist) { // the first policy
			return nil
		}
		return fmt.Errorf("reading the map of rows: %w", err)
	}
	defer inner.Close() //nolint:errcheck // a descriptor of a map that stays
	if err := f.objs.Rows.Put(uint32(0), inner); err != nil {
		return fmt.Errorf("waiting for frames on their way: %w", err)
	}
	return nil
}

// fill writes a policy into a slot that is not in use.
func (f *Firewall) fill(slot uint32, p *firewall.Policy, t *compile.Tables, ids map[string]uint32) error {
	rows := make([]row, len(t.Rows))
	for i, r := range t.Rows {
		copy(rows[i][:], r)
	}
	rules := make([]progFwRule, len(t.Rules))
	for i := range t.Rules {
		rules[i] = kernelRule(&t.Rules[i], ids[t.Rules[i].Name])
	}
	if err := fillArray(f, "rows", f.objs.Rows, slot, rows); err != nil {
		return err
	}
	if err := fillArray(f, "tries", f.objs.Tries, slot, t.Trie); err != nil {
		return err
	}
	if err := fillPart(f.objs.Rules, slot, firewall.MaxRules, rules); err != nil {
		return fmt.Errorf("writing rules: %w", err)
	}
	if err := f.fillPayloads(slot, t.Rules); err != nil {
		return fmt.Errorf("writing what payloads have: %w", err)
	}
	if err := f.fillFlats(slot, t); err != nil {
		return fmt.Errorf("writing addresses and ports: %w", err)
	}
	headed := !t.Direct && len(rows) <= heads
	if headed {
		short := make([][headWords]uint64, len(rows))
		for i := range rows {
			copy(short[i][:], rows[i][:])
		}
		if err := fillPart(f.objs.Heads, slot, heads, short); err != nil {
			return fmt.Errorf("writing heads of rows: %w", err)
		}
	}
	if err := f.fillGuards(slot, p, ids); err != nil {
		return err
	}
	for dim, outer := range []*ebpf.Map{f.objs.Source6, f.objs.Target6} {
		if err := f.fillPrefixes([]string{"source6", "target6"}[dim], outer, slot, t.V6[dim]); err != nil {
			return err
		}
	}
	c := progFwConfig{
		Rules: uint32(len(t.Rules)), Words: uint32(t.Words), Any4: t.Any4, Any6: t.Any6, NoPort: t.NoPort,
		Protocols: t.Protocols, Named: t.Named, DefaultAction: uint8(p.Default), DefaultOut: uint8(p.DefaultOut), Malformed: uint8(p.Malformed), Unparsed: uint8(p.Unparsed),
	}
	for dim := range 2 {
		if t.Named4[dim] {
			c.Prefixes[dim] |= 1
		}
		if len(t.V6[dim]) > 0 {
			c.Prefixes[dim] |= 2
		}
	}
	for dim := range 2 {
		if t.NamedPorts[dim] {
			c.Ports |= 1 << dim
		}
	}
	if t.Direct {
		c.Direct = 1
	}
	if headed {
		c.Headed = 1
	}
	if slices.ContainsFunc(t.Rules, func(r firewall.Rule) bool { return r.Match.Has&firewall.Length != 0 || r.Bytes > 0 }) {
		c.Lengths = 1
	}
	if p.Monitor {
		c.Monitor = 1
	}
	return f.objs.Configs.Put(slot, &c)
}

// fillPart writes the part of a slot in a map that holds both slots, each with room for
// that many values.
func fillPart[T any](m *ebpf.Map, slot, room uint32, values []T) error {
	keys := make([]uint32, len(values))
	for i := range keys {
		keys[i] = slot*room + uint32(i)
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := m.BatchUpdate(keys, values, nil)
	return err
}

// fillFlats writes what the first 16 bits of addresses and ports lead to, of those that
// some rule names.
func (f *Firewall) fillFlats(slot uint32, t *compile.Tables) error {
	for dim := range 2 {
		if t.Named4[dim] {
			if err := f.objs.Flats.Put(slot*flats+uint32(dim), &t.Flat[dim]); err != nil {
				return err
			}
		}
		if t.NamedPorts[dim] {
			if err := f.objs.Flats.Put(slot*flats+2+uint32(dim), &t.Ports[dim]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillArray makes an inner array of values and puts it into its outer map.
func fillArray[T any](f *Firewall, name string, outer *ebpf.Map, slot uint32, values []T) error {
	spec := f.spec.Maps[name].InnerMap.Copy()
	spec.MaxEntries = max(1, uint32(len(values)))
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	defer inner.Close() //nolint:errcheck // the outer map holds it
	for i := range values {
		if err := inner.Put(uint32(i), &values[i]); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return outer.Put(slot, inner)
}

type key6 struct {
	Bits uint32
	Addr [16]byte
}

type key4 struct {
	Bits uint32
	Addr [4]byte
}

func (f *Firewall) fillPrefixes(name string, outer *ebpf.Map, slot uint32, rows map[netip.Prefix]uint32) error {
	spec := f.spec.Maps[name].InnerMap.Copy()
	spec.MaxEntries = max(1, uint32(len(rows)))
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	defer inner.Close() //nolint:errcheck // the outer map holds it
	for p, n := range rows {
		if err := inner.Put(&key6{uint32(p.Bits()), p.Addr().As16()}, n); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return outer.Put(slot, inner)
}

func kernelRule(r *firewall.Rule, counter uint32) progFwRule {
	m := &r.Match
	const residual = firewall.Src - 1 // the bits below are looked at rule by rule
	k := progFwRule{
		Counter: counter, Device: m.Device, BanNs: uint64(r.Ban), Action: uint8(r.Action),
		Has: uint16(m.Has & residual), Not: uint16(m.Not & residual),
		LengthLo: m.Length.Lo, LengthHi: m.Length.Hi, VlanLo: m.VLAN.Lo, VlanHi: m.VLAN.Hi,
		TtlLo: uint8(m.TTL.Lo), TtlHi: uint8(m.TTL.Hi), DscpLo: uint8(m.DSCP.Lo), DscpHi: uint8(m.DSCP.Hi),
		TcpSet: m.TCPSet, TcpUnset: m.TCPUnset,
		IcmpTypeLo: uint8(m.ICMPType.Lo), IcmpTypeHi: uint8(m.ICMPType.Hi),
		IcmpCodeLo: uint8(m.ICMPCode.Lo), IcmpCodeHi: uint8(m.ICMPCode.Hi),
		Fragments: m.Fragments, Mac: m.MAC,
	}
	if k.Has == 0 && !r.Monitor && r.Ban == 0 && (r.Action == firewall.Pass || r.Action == firewall.Drop) {
		k.Plain = 1
	}
	if r.Monitor {
		k.Monitor = 1
	}
	if r.Unproven {
		k.Unproven = 1
	}
	if r.Grow {
		k.Grow = 1
	}
	if r.Action == firewall.Limit {
		k.Cost, k.BurstNs = r.UnitCost(), uint64(r.BurstTime())
		if r.Bytes > 0 {
			k.ByBytes = 1
		}
		if r.Flow {
			k.Flow = 1
		}
	}
	return k
}

// counterNames reads which rule each counter is of.
func (f *Firewall) counterNames() (map[uint32]string, error) {
	out := map[uint32]string{}
	ids, values := make([]uint32, counters), make([]progFwName, counters)
	var cursor ebpf.MapBatchCursor
	n, err := f.objs.Names.BatchLookup(&cursor, ids, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) { // that is the end
		return nil, fmt.Errorf("reading the names of counters: %w", err)
	}
	for i, v := range values[:n] {
		if name, _, _ := bytes.Cut(v.Name[:], []byte{0}); len(name) > 0 {
			out[ids[i]] = string(name)
		}
	}
	return out, nil
}

// counterIDs gives each name its counter: the one that it had, or a free one. Those
// of rules and guards that are neither in the policy nor in use are freed.
func (f *Firewall) counterIDs(wanted []string) (map[string]uint32, error) {
	names, err := f.counterNames()
	if err != nil {
		return nil, err
	}
	used, err := f.countersInUse()
	if err != nil {
		return nil, err
	}
	ids := map[string]uint32{}
	byName := map[string]uint32{}
	for id, name := range names {
		byName[name] = id
	}
	for _, name := range wanted {
		if len(name) > 63 {
			return nil, fmt.Errorf("the rule %q has a name of more than 63 bytes: shorten it", name)
		}
		if id, ok := byName[name]; ok {
			ids[name] = id
			used[id] = true
		}
	}
	next := uint32(0)
	for _, name := range wanted {
		if _, ok := ids[name]; ok {
			continue
		}
		for used[next] {
			next++
		}
		used[next] = true
		ids[name] = next
		var n progFwName
		copy(n.Name[:], name)
		if err := f.objs.Names.Put(next, &n); err != nil {
			return nil, fmt.Errorf("naming a counter: %w", err)
		}
		if err := f.objs.Counters.Put(next, make([]progFwCount, ebpf.MustPossibleCPU())); err != nil {
			return nil, fmt.Errorf("clearing a counter: %w", err)
		}
	}
	return ids, nil
}

// countersInUse gives the counters of the policy that frames meet now.
func (f *Firewall) countersInUse() (map[uint32]bool, error) {
	used := map[uint32]bool{}
	slot, err := f.Slot()
	if err != nil {
		return nil, err
	}
	var c progFwConfig
	var guards progFwGuards
	if err := errors.Join(f.objs.Configs.Lookup(slot, &c), f.objs.Guards.Lookup(slot, &guards)); err != nil {
		return nil, fmt.Errorf("reading the policy in use: %w", err)
	}
	for _, g := range guards.Guard[:guards.Count] {
		used[g.Counter] = true
	}
	for i := range c.Rules {
		var r progFwRule
		if err := f.objs.Rules.Lookup(slot*firewall.MaxRules+i, &r); err != nil {
			return nil, fmt.Errorf("reading the policy in use: %w", err)
		}
		used[r.Counter] = true
	}
	return used, nil
}
