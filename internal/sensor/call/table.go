package call

import (
	"fmt"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/cilium/ebpf"
)

// The numbers of call.bpf.c.
const (
	tableSize = 512
	noArg     = 7

	streamCall   = 4
	streamBulk   = 5
	streamTCP    = 6
	streamModule = 7
	streamClose  = 16
	streams      = 24

	descWanted  = 1
	descReport  = 2
	descSuccess = 4
	descRetFD   = 8
	descFDs     = 16
	descCred    = 32
)

// filters are the first looks at a call's arguments (enum bc_filter).
const (
	filterNone = iota
	filterFcntl
	filterIoctl
	filterPrctl
	filterMmap
	filterMprotect
	filterKill
	filterPtrace
	filterBPF
	filterOpen
	filterConnect
	filterNet
	filterSignal
	filterDup
	filterAccept
	filterSocket
)

// nets are the ways to send and receive (enum bc_net).
func nets() map[string]uint8 {
	return map[string]uint8{
		"sendto": 1, "sendmsg": 2, "sendmmsg": 3, "write": 4, "writev": 5, "recvfrom": 6, "recvmsg": 7, "recvmmsg": 8, "read": 9, "readv": 10,
	}
}

// ClassOf returns the ring of a type of call: what may come in floods is bulk,
// what must not be pushed out by it is critical.
func ClassOf(t event.Type) event.Class {
	switch t {
	case event.Mount, event.Umount, event.Chroot, event.Memfd, event.Setuid, event.Capset, event.Prctl, event.Setns,
		event.Unshare, event.Ptrace, event.ProcessVM, event.GetFD, event.Module, event.Kexec, event.BPF, event.Iopl, event.Swapon, event.Settime,
		event.Reboot, event.Keyctl, event.PerfEvent, event.Userfaultfd:
		return event.Critical
	}
	return event.Bulk
}

// filterOf says which look a call needs.
func filterOf(name string) uint8 {
	switch name {
	case "fcntl":
		return filterFcntl
	case "dup", "dup2", "dup3":
		return filterDup
	case "accept", "accept4":
		return filterAccept
	case "socket":
		return filterSocket
	case "ioctl":
		return filterIoctl
	case "prctl":
		return filterPrctl
	case "mmap":
		return filterMmap
	case "mprotect", "pkey_mprotect":
		return filterMprotect
	case "kill", "tkill", "tgkill", "rt_sigqueueinfo":
		return filterKill
	case "pidfd_send_signal":
		return filterSignal
	case "ptrace":
		return filterPtrace
	case "bpf":
		return filterBPF
	case "open", "openat", "openat2", "creat":
		return filterOpen
	case "connect":
		return filterConnect
	}
	return filterNone
}

// onlySuccess says of which types failed calls are of no interest: they try
// nothing against the host, and come in numbers.
func onlySuccess(t event.Type) bool {
	switch t {
	case event.Dup, event.Pipe, event.Socketpair, event.Splice, event.Mprotect, event.Mmap, event.Memfd:
		return true
	}
	return false
}

// describe makes the table's entry of a call.
func describe(s *event.CallSpec) progBcDesc {
	d := progBcDesc{Flags: descWanted | descReport, Stream: streamBulk, Filter: filterOf(s.Name), How: noArg, Aux: noArg}
	if ClassOf(s.Type) == event.Critical {
		d.Stream = streamCall
	}
	arg := func(k event.CallArgKind) uint8 {
		if i := s.Arg(k); i >= 0 {
			return uint8(i)
		}
		return noArg
	}
	d.Path = [2]uint8{arg(event.ArgPath), arg(event.ArgPath2)}
	d.Dirfd = [2]uint8{arg(event.ArgDirFD), arg(event.ArgDirFD2)}
	d.Fd = [2]uint8{arg(event.ArgFD), arg(event.ArgFD2)}
	d.Addr, d.Addrlen = arg(event.ArgAddr), arg(event.ArgLen)
	d.Text = [2]uint8{noArg, noArg}
	n := 0
	for i, a := range s.Args {
		if a.Kind == event.ArgText && n < len(d.Text) {
			d.Text[n] = uint8(i)
			n++
		}
	}
	if i := s.Arg(event.ArgFDs); i >= 0 {
		d.Flags |= descFDs
		d.Fd[0] = uint8(i)
	}
	if s.RetFD {
		d.Flags |= descRetFD
	}
	if onlySuccess(s.Type) {
		d.Flags |= descSuccess
	}
	switch s.Type {
	case event.Setuid, event.Capset, event.Unshare, event.Setns:
		d.Flags |= descCred
	}
	switch d.Filter {
	case filterOpen:
		if i := s.ArgNamed("flags"); i >= 0 {
			d.Aux = uint8(i)
		}
		if i := s.ArgNamed("how"); i >= 0 {
			d.How = uint8(i)
		}
	case filterKill, filterSignal:
		d.Aux = uint8(max(s.ArgNamed("sig"), 0))
	}
	return d
}

// entries makes the whole table for the types that are wanted.
func entries(want event.TypeSet) []progBcDesc {
	out := make([]progBcDesc, 2*tableSize)
	n64, n32 := numbers64(), numbers32()
	set := func(name string, d progBcDesc) {
		if nr, ok := n64[name]; ok && nr < tableSize {
			out[nr] = d
		}
		if nr, ok := n32[name]; ok && d.Filter != filterNet {
			out[tableSize+nr] = d
		}
	}
	for _, s := range event.Calls() {
		if !want.IsZero() && want.Has(s.Type) && s.Type != event.Send && s.Type != event.Close {
			set(s.Name, describe(s))
		}
	}
	if want.IsZero() {
		return out
	}
	dns := want.Has(event.DNS)
	if dns && !want.Has(event.Connect) {
		d := describe(event.CallNamed("connect"))
		d.Flags &^= descReport
		set("connect", d)
	}
	for name, net := range nets() {
		receives := net > 5
		plain := name == "read" || name == "readv" || name == "write" || name == "writev"
		if dns || !receives && !plain && want.Has(event.Send) || name == "sendmsg" && want.Has(event.PassFD) {
			d := progBcDesc{Flags: descWanted, Stream: streamBulk, Filter: filterNet, Net: net}
			set(name, d)
		}
	}
	return out
}

// firstLook says for each number whether the table has an entry for it, as a
// 64-bit or a 32-bit call.
func firstLook(table []progBcDesc) (out [tableSize]uint8) {
	for i, d := range table {
		if d.Flags&descWanted != 0 {
			out[i%tableSize] = 1
		}
	}
	return out
}

// fill writes the table for the types, and the first look, into their maps.
func fill(table, first *ebpf.Map, want event.TypeSet) error {
	all := entries(want)
	for i, d := range all {
		if err := table.Put(uint32(i), d); err != nil {
			return fmt.Errorf("writing the table of calls: %w", err)
		}
	}
	if err := first.Put(uint32(0), firstLook(all)); err != nil {
		return fmt.Errorf("writing the numbers of wanted calls: %w", err)
	}
	return nil
}
