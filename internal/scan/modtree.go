package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
)

// modulesInTree lists the modules in the tree by which the kernel finds the module of an
// address: stack traces and the handling of faults need it, so that modules which take
// themselves off the list stay in it. They are given by their addresses.
func (h *Host) modulesInTree(addr uint64) (map[uint64]string, error) {
	if addr == 0 {
		return nil, errors.New("the kernel's symbols do not tell where it is (CONFIG_KALLSYMS_ALL)")
	}
	p, err := h.peek()
	if err != nil {
		return nil, err
	}
	return p.modules(addr)
}

func (p *peek) modules(tree uint64) (map[uint64]string, error) {
	var offs [8]uint64
	for i, m := range [...][2]string{{"mod_tree_root", "root"}, {"latch_tree_root", "tree"}, {"mod_tree_node", "node"}, {"latch_tree_node", "node"}, {"mod_tree_node", "mod"},
		{"rb_node", "rb_left"}, {"rb_node", "rb_right"}, {"module", "name"}} {
		off, err := p.offset(m[0], m[1])
		if err != nil {
			return nil, err
		}
		offs[i] = uint64(off)
	}
	// from a node of the tree back to the struct that it is in
	inNode := offs[2] + offs[3]
	root, err := p.pointer(tree + offs[0] + offs[1])
	if err != nil {
		return nil, err
	}
	const most = 20000 // of nodes, of which a module has several; a tree that changes meanwhile may lead in circles
	names := map[uint64]string{}
	seen := map[uint64]bool{}
	for next := []uint64{root}; len(next) > 0; {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		if at == 0 || seen[at] {
			continue
		}
		if seen[at] = true; len(seen) > most {
			return nil, fmt.Errorf("it has more than %d nodes", most)
		}
		b, err := p.read(at-inNode, int(inNode)+24)
		if err != nil {
			return nil, err
		}
		word := func(off uint64) uint64 { return binary.NativeEndian.Uint64(b[off:]) }
		next = append(next, word(inNode+offs[5]), word(inNode+offs[6]))
		module := word(offs[4])
		if names[module] != "" {
			continue
		}
		const nameLen = 56
		name, err := p.read(module+offs[7], nameLen)
		if err != nil {
			return nil, err
		}
		names[module], _, _ = strings.Cut(string(name), "\x00")
	}
	maps.DeleteFunc(names, func(_ uint64, n string) bool { return n == "" }) // as of one that is being freed
	return names, nil
}

// unlistedModules are those in the tree that no list has. A module that is just loaded or
// unloaded is in one of the two for a moment: what counts has been in the tree twice, at the
// same address, and in no list before, between and after.
func (h *Host) unlistedModules(addr uint64, known map[string]bool) (map[uint64]string, error) {
	inTree, err := h.modulesInTree(addr)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(inTree, func(_ uint64, n string) bool { return known[n] })
	for range 2 {
		if len(inTree) == 0 {
			break
		}
		lists, err := host.ReadModules()
		if err != nil {
			return nil, err
		}
		for _, m := range lists.Modules {
			maps.DeleteFunc(inTree, func(_ uint64, n string) bool { return n == m.Name })
		}
		again, err := h.modulesInTree(addr)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(inTree, func(at uint64, n string) bool { return again[at] != n })
	}
	return inTree, nil
}
