package call

import (
	"errors"
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/cilium/ebpf"
)

// maxPathEntries is how many entries the filters of all kinds may have together
// (open_names, open_tops).
const maxPathEntries = 8192

// asTail and asDir are where the kinds stand in open_names that want an entry as an end,
// and as a directory (BC_AS_TAIL, BC_AS_DIR).
const (
	asTail = 8
	asDir  = 16
)

// lenBit is the bit of a component's length in struct bc_open_lens.
func lenBit(s string) uint32 { return 1 << min(len(s), 31) }

// narrow writes the tables of paths and says in the settings which kinds of
// opens they hold for.
func (s *Sensor) narrow(set *progBcSettings) error {
	names, tops := map[progBcOpenName]uint32{}, map[progBcOpenTop]uint32{}
	for kind, f := range s.opts.Paths {
		if f == nil {
			continue
		}
		if len(names)+len(tops)+f.Size() > maxPathEntries {
			continue
		}
		set.Paths |= uint32(kind)
		lens := &set.Lens[kind&7]
		for n := range f.Names {
			names[openName(n)] |= uint32(kind)
			lens.Name |= lenBit(n)
		}
		for e := range f.Tails {
			names[openName(e)] |= uint32(kind) << asTail
			set.Tails |= uint32(kind)
		}
		for d := range f.Dirs {
			names[openName(d)] |= uint32(kind) << asDir
			set.Dirs |= uint32(kind)
			lens.Dir |= lenBit(d)
		}
		for e := range f.Exts {
			names[openName(e)] |= uint32(kind)
			set.Exts |= uint32(kind)
		}
		for t := range f.Tops {
			tops[progBcOpenTop{First: openName(t[0]).Name, Second: openName(t[1]).Name}] |= uint32(kind)
			set.Tops |= uint32(kind)
			lens.First |= lenBit(t[0])
			lens.Second |= lenBit(t[1])
		}
		if f.DotDot {
			set.Dotdot |= uint32(kind)
		}
	}
	if err := replace(s.coll.Maps["open_names"], names); err != nil {
		return fmt.Errorf("writing the names of files that opens are wanted of: %w", err)
	}
	if err := replace(s.coll.Maps["open_tops"], tops); err != nil {
		return fmt.Errorf("writing the directories that opens are wanted in: %w", err)
	}
	return nil
}

// replace makes a map of the kernel hold these entries and no others. The new
// ones come first: meanwhile more is wanted, never less.
func replace[K comparable](m *ebpf.Map, want map[K]uint32) error {
	var key K
	var old []K
	var kinds uint32
	for it := m.Iterate(); it.Next(&key, &kinds); {
		if _, stays := want[key]; !stays {
			old = append(old, key)
		}
	}
	for k, v := range want {
		if err := m.Put(k, v); err != nil {
			return err
		}
	}
	for _, k := range old {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// openName is a component as the kernel's tables have it.
func openName(s string) (n progBcOpenName) {
	for i := range min(len(s), event.FilterName) {
		n.Name[i] = int8(s[i])
	}
	return n
}
