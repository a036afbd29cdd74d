package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// image is what the kernel's symbols tell of it.
type image struct {
	start, end uint64 // of the code; 0 where the kernel hides addresses
	// addresses of the table of system calls, and of the tree of modules; 0 where the
	// symbols lack them
	calls, modules uint64
	// addresses of the table of interrupts, and of the handlers that it has at the start
	gates, early uint64
	// patched are places of ftrace's own code that the kernel changes without a table
	patched map[uint64]bool
	// symbols has a symbol of each module that has any
	symbols map[string]string
}

func (k *image) own(addr uint64) bool { return addr >= k.start && addr < k.end }

// image reads the kernel's symbols, once: there are very many.
func (h *Host) image() (*image, error) {
	if h.imageOf == nil && h.soon {
		h.imageOf = lastImage.Load()
	}
	if h.imageOf == nil {
		k, err := readImage(kernel.Kallsyms)
		if err != nil {
			return nil, err
		}
		h.imageOf = k
		lastImage.Store(k)
	}
	return h.imageOf, nil
}

// Prepare reads what Soon needs beforehand, so that the first one is as fast as the others.
// What cannot be read then is told by that one.
func Prepare() {
	if k, err := readImage(kernel.Kallsyms); err == nil {
		lastImage.Store(k)
	}
}

// lastImage is what was read last: of the kernel's own nothing in it changes.
var lastImage atomic.Pointer[image]

// readImage reads the kernel's symbols.
func readImage(path string) (*image, error) {
	k := &image{symbols: map[string]string{}, patched: map[uint64]bool{}}
	err := kernel.EachSymbol(path, func(s *kernel.SymbolLine) bool {
		if len(s.Module) > 0 {
			k.ofModule(s)
		} else {
			k.ofKernel(s)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// ofKernel takes a symbol of the kernel's own. Most are of no interest.
func (k *image) ofKernel(s *kernel.SymbolLine) {
	switch string(s.Name) {
	case "_stext":
		k.start = s.Addr
	case "_etext":
		k.end = s.Addr
	case "sys_call_table":
		k.calls = s.Addr
	case "mod_tree":
		k.modules = s.Addr
	case "idt_table":
		k.gates = s.Addr
	case "early_idt_handler_array":
		k.early = s.Addr
	case "ftrace_call", "ftrace_regs_call", "ftrace_graph_call":
		k.patched[s.Addr] = true
	}
}

// ofModule takes a symbol of a module.
func (k *image) ofModule(s *kernel.SymbolLine) {
	// what is no module: programs, and trampolines of the kernel's own
	if name := string(s.Module); name != "bpf" && !strings.HasPrefix(name, "__builtin") {
		k.symbols[name] = string(s.Name)
	}
}

// check says why addresses cannot be compared; nil where they can.
func (k *image) check() error {
	if k.start == 0 || k.end <= k.start {
		return errors.New("the kernel hides where its code is: run as root, with sysctl kernel.kptr_restrict at most 1")
	}
	return nil
}

// watchedFile is a file whose operations have to be the kernel's own.
type watchedFile struct {
	path string
	// seq is set where the file is a list that a seq_operations makes.
	seq bool
	// module may hold the operations, where it is not built in.
	module string
}

var watchedFiles = [...]watchedFile{
	{path: "/proc"}, {path: "/proc/self"}, {path: "/proc/modules", seq: true}, {path: "/proc/kallsyms", seq: true}, {path: "/proc/net"},
	{path: "/proc/net/tcp", seq: true}, {path: "/proc/net/tcp6", seq: true, module: "ipv6"}, {path: "/proc/net/udp", seq: true}, {path: "/proc/net/udp6", seq: true, module: "ipv6"},
	{path: "/proc/net/unix", seq: true, module: "unix"},
}

// operation is one pointer to a function.
type operation struct {
	of, member string // as "/proc/net/tcp" and "seq_operations.show"
	module     string // that may hold it
	addr       uint64
}

// kernelTables reads pointers to functions in the kernel's memory.
func kernelTables(h *Host) ([]Finding, error) {
	k, err := h.image()
	if err == nil {
		err = k.check()
	}
	if err != nil {
		return nil, err
	}
	p, err := h.peek()
	if err != nil {
		return nil, err
	}
	var list []operation
	var failed []string
	for _, w := range watchedFiles {
		ops, err := p.operations(w)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, w.path+": "+err.Error())
		}
		list = append(list, ops...)
	}
	var calls []operation
	if k.calls == 0 {
		h.note("the table of system calls was not looked at: the kernel's symbols do not tell where it is (CONFIG_KALLSYMS_ALL)")
	} else if calls, err = p.systemCalls(k); err != nil {
		failed = append(failed, err.Error())
	}
	out := outside(k, append(list, calls...), nil)
	if len(failed) > 0 {
		return out, errors.New(strings.Join(failed, "; "))
	}
	return out, nil
}

// outside tells of the operations that lead outside the kernel's code. Names come from
// the kernel's symbols, or where they are given from there.
func outside(k *image, list []operation, names kernel.Symbols) []Finding {
	var out []Finding
	for _, x := range list {
		if k.own(x.addr) {
			continue
		}
		if names == nil {
			names, _ = kernel.ReadSymbols() // without them addresses stand for names
		}
		// as "function [module]"; what lies far behind a function is none of it
		const largest = 1 << 16
		to, off := names.Find(x.addr)
		if off > largest {
			to = ""
		}
		if x.module != "" && strings.HasSuffix(to, "["+x.module+"]") {
			continue
		}
		where := fmt.Sprintf("%#x, which belongs to nothing that the kernel knows", x.addr)
		if to != "" {
			where = fmt.Sprintf("%#x, near %s", x.addr, to)
		}
		out = append(out, Finding{
			What: x.of + " of the kernel was changed: " + x.member + " leads outside the kernel's code", Sure: Certain, Path: x.of, subject: x.of + x.member,
			Evidence: fmt.Sprintf("it points to %s; the kernel's code is from %#x to %#x", where, k.start, k.end),
			Do:       "Take the host for taken over: keep its memory if you can, and install it anew.",
		})
	}
	return out
}

// operations reads those of a file: of the open file, of its inode, of its entry in
// /proc, and of its list.
func (p *peek) operations(w watchedFile) ([]operation, error) {
	f, err := os.Open(w.path)
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(f)
	defer func() { _ = f.Close() }()
	file, err := p.openFile(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	inode := [2]string{"file", "f_inode"}
	tables := []struct {
		kind string
		path [][2]string
	}{
		{"file_operations", [][2]string{{"file", "f_op"}}},
		{"file_operations", [][2]string{inode, {"inode", "i_fop"}}},
		{"inode_operations", [][2]string{inode, {"inode", "i_op"}}},
	}
	if w.seq {
		tables = append(tables, struct {
			kind string
			path [][2]string
		}{"seq_operations", [][2]string{{"file", "private_data"}, {"seq_file", "op"}}})
	}
	var out []operation
	add := func(kind string, table uint64) error {
		found, err := p.functions(kind, table)
		if err != nil {
			return err
		}
		for _, member := range slices.Sorted(maps.Keys(found)) {
			out = append(out, operation{of: w.path, member: kind + "." + member, module: w.module, addr: found[member]})
		}
		return nil
	}
	for _, t := range tables {
		table, err := p.follow(file, t.path...)
		if err != nil {
			return out, err
		}
		if err := add(t.kind, table); err != nil {
			return out, err
		}
	}
	if !w.seq {
		return out, nil
	}
	// the entry's own operations, which those of the file call
	node, err := p.follow(file, inode)
	if err != nil {
		return out, err
	}
	at, err := p.offset("proc_inode", "vfs_inode")
	if err != nil {
		return out, err
	}
	table, err := p.follow(node-uint64(at), [2]string{"proc_inode", "pde"}, [2]string{"proc_dir_entry", "proc_ops"})
	if err != nil {
		return out, err
	}
	return out, add("proc_ops", table)
}

// systemCalls reads the table of system calls.
func (p *peek) systemCalls(k *image) ([]operation, error) {
	// as many as every kernel has that Bearcat runs on; behind the last lie other data
	const n = 441
	b, err := p.read(k.calls, 8*n)
	if err != nil {
		return nil, fmt.Errorf("the table of system calls: %w", err)
	}
	out := make([]operation, 0, n)
	for i := range n {
		if addr := binary.NativeEndian.Uint64(b[8*i:]); addr != 0 {
			out = append(out, operation{of: "system call " + strconv.Itoa(i), member: "sys_call_table", addr: addr})
		}
	}
	return out, nil
}
