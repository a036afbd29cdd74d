package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
)

// Carried says what a firewall has of the one before it.
type Carried struct {
	// Fresh: there was none before.
	Fresh bool
	// Build is the one that loaded the firewall before, where that was another and said so.
	Build string
	// Policy, Block, Allow and Bans are there already.
	Policy, Block, Allow, Bans bool
	// Lost says in sentences what could not be kept.
	Lost []string
}

// policyTables are written from the policy: they are all as they were or all new.
var policyTables = []string{"active", "rows", "tries", "source6", "target6", "flats", "heads", "rules", "payloads", "configs", "guards"}

// stateTables hold what happened and what commands did, each for itself. A table that
// is in neither list is kept where it can be, and else the policy is written anew.
var stateTables = []string{
	"counters", "names", "reasons", "bans", "block4", "block6", "blocknet4", "blocknet6", "allow4", "allow6", "near4", "marks", "buckets",
	"control", "drops", "events", "log_paid", "frames", "scans",
}

// carry is what goes from one firewall to the next.
type carry struct {
	said Carried
	// keep are tables that go on; both programs use them while one replaces the other.
	keep map[string]*ebpf.Map
	// fill are tables of another size, whose entries are copied.
	fill map[string]*ebpf.Map
	// left are tables that cannot go on.
	left []*ebpf.Map
	// slot is the policy's that frames meet now.
	slot uint32
}

func (c *carry) close() {
	all := slices.Concat(c.left, slices.Collect(maps.Values(c.keep)), slices.Collect(maps.Values(c.fill)))
	for _, m := range all {
		_ = m.Close() // the pin or the next program holds it
	}
}

// carryFrom looks which tables in dir a program of spec can go on with.
func carryFrom(dir string, spec *ebpf.CollectionSpec, stamp map[string]string) (*carry, error) {
	c := &carry{keep: map[string]*ebpf.Map{}, fill: map[string]*ebpf.Map{}}
	if _, err := os.Stat(filepath.Join(dir, "control")); err != nil {
		c.said.Fresh = true
		return c, nil
	}
	before, err := readStamp(dir)
	if err != nil {
		return nil, err
	}
	if before[buildKey] != stamp[buildKey] {
		c.said.Build = before[buildKey]
	}
	for name, m := range pinnedTables(spec) {
		old, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			c.close()
			return nil, fmt.Errorf("opening the table %s of the firewall before: %w", name, err)
		}
		if name == "active" && old.ValueSize() == 4 {
			_ = old.Lookup(uint32(0), &c.slot) // it stays 0, and no table is shared that a slot is in
			c.slot &= 1
		}
		switch {
		case !sameLayout(before, stamp, name):
			c.left = append(c.left, old)
		case m.Compatible(old) == nil:
			c.keep[name] = old
		case slices.Contains(stateTables, name) && copyable(m, old):
			c.fill[name] = old
		default:
			c.left = append(c.left, old)
		}
	}
	c.settle(spec)
	return c, nil
}

// copyable says whether the entries of a table can go into another.
func copyable(m *ebpf.MapSpec, old *ebpf.Map) bool {
	if m.Name == "reasons" { // where a count stands follows from how many reasons there are
		return false
	}
	switch m.Type {
	case ebpf.Hash, ebpf.LPMTrie, ebpf.PerCPUArray, ebpf.Array:
	default:
		return false
	}
	return m.Type == old.Type() && m.KeySize == old.KeySize() && m.ValueSize == old.ValueSize() && m.Flags&^mmapable == old.Flags()&^mmapable
}

const mmapable = 1 << 10 // BPF_F_MMAPABLE

// settle takes back what cannot be kept because something else is not, and says what is
// lost.
func (c *carry) settle(spec *ebpf.CollectionSpec) {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return c.keep[n] == nil && c.fill[n] == nil })
	}
	forget := func(names ...string) {
		for _, n := range names {
			for _, l := range []map[string]*ebpf.Map{c.keep, c.fill} {
				if l[n] != nil {
					c.left = append(c.left, l[n])
					delete(l, n)
				}
			}
		}
	}
	say := func(text string) { c.said.Lost = append(c.said.Lost, text) }
	if c.keep["control"] == nil { // the secret of hashes is in it
		forget("control", "marks", "buckets")
	}
	// marks are made anew from the bans, buckets are places of a hash
	for _, n := range []string{"marks", "buckets", "control", "near4"} {
		if c.fill[n] != nil {
			forget(n)
		}
	}
	if !has("names") || !has("counters") {
		forget("names", "counters")
		say("packets counted by rule begin anew, and bans no longer say which rule made them")
	}
	if !has("reasons") {
		say("packets counted by reason begin anew")
	}
	if !has("buckets") {
		say("what sources have used of their rates is forgotten")
	}
	for name := range pinnedTables(spec) {
		if !slices.Contains(stateTables, name) && c.keep[name] == nil {
			forget(policyTables...)
		}
	}
	if c.keep["counters"] == nil || c.keep["names"] == nil {
		forget(policyTables...) // rules hold the numbers of counters
	}
	c.said.Policy = c.keep["active"] != nil
	c.said.Block = has("block4", "block6", "blocknet4", "blocknet6")
	c.said.Allow = has("allow4", "allow6")
	c.said.Bans = has("bans")
	if !c.said.Bans {
		say("bans that rules and guards made are forgotten; those of commands and alerts go on")
	}
	if !c.said.Block {
		say("the block list is taken from its journal, and its hits begin anew")
	}
	if !c.said.Allow {
		say("the allow list is taken from its journal")
	}
}

// begin makes the tables of a new firewall agree with what it goes on with.
func (c *carry) begin(f *Firewall) error {
	if c.keep["active"] == nil {
		// the policy is written into the other slot: a table that goes on is in use
		if err := f.objs.Active.Put(uint32(0), c.slot); err != nil {
			return fmt.Errorf("beginning with the slot of the policy before: %w", err)
		}
	}
	for name := range c.fill {
		left, err := c.copyTo(f, name)
		if err != nil {
			return err
		}
		if left > 0 {
			c.said.Lost = append(c.said.Lost, fmt.Sprintf("%d entries of the table %s did not fit", left, name))
		}
	}
	if c.keep["names"] == nil && c.fill["names"] == nil {
		if err := f.disown(); err != nil {
			return err
		}
	}
	if c.keep["control"] == nil {
		if err := f.setFlags(); err != nil {
			return err
		}
	}
	if c.keep["near4"] == nil {
		if err := f.remakeNear(); err != nil {
			return err
		}
	}
	return c.markBans(f)
}

// end takes over what the program before did until this one replaced it.
func (c *carry) end(f *Firewall) error {
	if c.fill["bans"] != nil {
		if _, err := c.copyTo(f, "bans"); err != nil {
			return err
		}
	}
	return c.markBans(f)
}

func (c *carry) markBans(f *Firewall) error {
	if c.keep["marks"] != nil && c.keep["bans"] != nil {
		return nil
	}
	var key progAddr6
	var b progFwBan
	it := f.objs.Bans.Iterate()
	for it.Next(&key, &b) {
		if err := f.mark(&key); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the bans: %w", err)
	}
	return nil
}

// copyTo copies what is in a table of the firewall before and not yet in this one's, and
// says how many entries found no room.
func (c *carry) copyTo(f *Firewall, name string) (left int, err error) {
	from, to := c.fill[name], f.tables()[name]
	var key []byte
	var value any = new([]byte)
	if from.Type() == ebpf.PerCPUArray {
		value = new([]progFwCount) // counters and reasons
	}
	array := from.Type() == ebpf.PerCPUArray || from.Type() == ebpf.Array
	it := from.Iterate()
	for it.Next(&key, value) {
		flags := ebpf.UpdateNoExist
		if array {
			flags = ebpf.UpdateAny
		}
		var v any = value
		switch x := value.(type) {
		case *[]byte:
			v = *x
		case *[]progFwCount:
			v = *x
		}
		if err := to.Update(key, v, flags); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			left++
		}
	}
	if err := it.Err(); err != nil {
		return left, fmt.Errorf("copying the table %s: %w", name, err)
	}
	return left, nil
}

// disown has bans say nothing of who made them, where the names are new.
func (f *Firewall) disown() error {
	var key progAddr6
	var b progFwBan
	all := map[progAddr6]progFwBan{}
	it := f.objs.Bans.Iterate()
	for it.Next(&key, &b) {
		b.By = nobody
		all[key] = b
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the bans: %w", err)
	}
	for key, b := range all {
		if err := f.objs.Bans.Put(&key, &b); err != nil {
			return fmt.Errorf("writing a ban: %w", err)
		}
	}
	return nil
}

// setFlags tells a program with a new control table at which lists to look. Bans may
// come at any time.
func (f *Firewall) setFlags() error {
	m := &f.objs
	flags := uint64(flagBan | flagBanNet)
	for flag, l := range map[uint64]*ebpf.Map{
		flagAddr4: m.Block4, flagNet4: m.Blocknet4, flagAddr6: m.Block6, flagNet6: m.Blocknet6, flagAllow4: m.Allow4, flagAllow6: m.Allow6,
	} {
		key := make([]byte, l.KeySize())
		if err := l.NextKey(nil, &key); err == nil {
			flags |= flag
		} else if !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("looking into the lists: %w", err)
		}
	}
	return f.flag(flags)
}

// remakeNear marks what lies near the block list.
func (f *Firewall) remakeNear() error {
	l, err := f.Blocked()
	if err != nil {
		return err
	}
	prefixes := make([]netip.Prefix, 0, len(l))
	for i := range l {
		prefixes = append(prefixes, l[i].Prefix)
	}
	return f.setNear(prefixes)
}
