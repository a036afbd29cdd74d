package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// synPacket is a TCP opening over IPv4 to a port.
func synPacket(port uint16) []byte {
	b := make([]byte, 64)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], 50)
	copy(ip[12:], []byte{198, 51, 100, 7})
	copy(ip[16:], []byte{192, 0, 2, 1})
	fillTCP(ip[20:], port)
	return b
}

// synPacket6 is the same over IPv6.
func synPacket6(port uint16) []byte {
	b := make([]byte, 78)
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd})
	ip := b[14:]
	ip[0], ip[6], ip[7] = 0x60, 6, 64
	binary.BigEndian.PutUint16(ip[4:], 24)
	src, dst := netip.MustParseAddr("2001:db8::7").As16(), netip.MustParseAddr("2001:db8:1::1").As16()
	copy(ip[8:], src[:])
	copy(ip[24:], dst[:])
	fillTCP(ip[40:], port)
	return b
}

func fillTCP(b []byte, port uint16) {
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13] = 5<<4, 2
}

// typicalPolicy has rules as people write them: sources of whole bytes, a port or
// any, TCP. The last one drops port 22 from everywhere; none is about port 81.
func typicalPolicy(n int) *firewall.Policy {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	p := firewall.Empty()
	for i := range n - 1 {
		a := netip.AddrFrom4([4]byte{byte(11 + rnd.IntN(100)), byte(rnd.IntN(256)), byte(rnd.IntN(256)), byte(rnd.IntN(256))})
		src, _ := a.Prefix(8 * (1 + rnd.IntN(4))) // an IPv4 address takes these lengths
		r := firewall.Rule{Name: "r" + strconv.Itoa(i), Action: firewall.Drop}
		r.Match.Has = firewall.Src | firewall.Protocol
		r.Match.Src, r.Match.Protocols = []netip.Prefix{src}, []uint8{6}
		if rnd.IntN(2) == 0 {
			port := uint16(1000 + rnd.IntN(60000))
			r.Match.Has |= firewall.DstPort
			r.Match.DstPort = []firewall.Range{{Lo: port, Hi: port}}
		}
		p.Rules = append(p.Rules, r)
	}
	last := firewall.Rule{Name: "last", Action: firewall.Drop}
	last.Match.Has, last.Match.Protocols = firewall.DstPort|firewall.Protocol, []uint8{6}
	last.Match.DstPort = []firewall.Range{{Lo: 22, Hi: 22}}
	p.Rules = append(p.Rules, last)
	return p
}

// loadXDP loads a program with the flags of another, which it may then call.
func loadXDP(s *fwSet, name string, code asm.Instructions, frags bool) (*ebpf.Program, error) {
	spec := &ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, Instructions: code, License: "GPL", AttachType: ebpf.AttachXDP}
	if frags {
		spec.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	}
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	s.closers = append(s.closers, p.Close)
	return p, nil
}

func passProgram(s *fwSet) (*ebpf.Program, error) {
	return loadXDP(s, "pass", asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, true)
}

// variedProgram changes the packet's source each time, by an xorshift, and then calls
// a program. The kernel runs one packet over and over, so each run sees the next one.
func variedProgram(s *fwSet, target *ebpf.Program) (*ebpf.Program, error) {
	calls, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("making a map of programs: %w", err)
	}
	s.closers = append(s.closers, calls.Close)
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 34),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R0, asm.R2, 26, asm.Word),
	}
	for _, shift := range []struct {
		op asm.ALUOp
		n  int32
	}{{asm.LSh, 13}, {asm.RSh, 17}, {asm.LSh, 5}} {
		code = append(code, asm.Mov.Reg32(asm.R5, asm.R0), shift.op.Imm32(asm.R5, shift.n), asm.Xor.Reg32(asm.R0, asm.R5))
	}
	code = append(code,
		asm.StoreMem(asm.R2, 26, asm.R0, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, calls.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("out"),
		asm.Return(),
	)
	p, err := loadXDP(s, "varied", code, true)
	if err != nil {
		return nil, err
	}
	if err := calls.Put(uint32(0), target); err != nil {
		return nil, fmt.Errorf("calling from a program that changes packets: %w", err)
	}
	return p, nil
}

// xdpFilter is the program that xdp-filter loads for all of its features, in lib/ARCH/bpf
// of xdp-tools' packages (Debian: libxdp1).
const xdpFilter = "xdpfilt_alw_all"

// findPeer looks for a program's object where packages put it, below roots.
func findPeer(name string, roots ...string) string {
	for _, root := range roots {
		for _, pattern := range []string{"usr/lib/*/bpf", "usr/lib/bpf", "usr/lib64/bpf", "usr/local/lib/bpf"} {
			if found, err := filepath.Glob(filepath.Join(root, pattern, name+".o")); err == nil && len(found) > 0 {
				return found[0]
			}
		}
	}
	return ""
}

// addPeers measures xdp-filter's program beside ours, with one source blocked. Its own
// loader would put libxdp's dispatcher in front of it.
func addPeers(s *fwSet, r *Firewall) error {
	rows := []struct {
		name    string
		packet  []byte
		verdict uint32
	}{
		{"xdp-filter, 1 blocked, passes, IPv4", synPacket(80), 2},
		{"xdp-filter, 1 blocked, passes, IPv6", synPacket6(80), 2},
		{"xdp-filter, 1 blocked, drop", synPacketFrom(80, xdpFiltered), 1},
	}
	missing := func(why string) {
		for _, x := range rows {
			s.runs = append(s.runs, fwRun{FwCase: FwCase{Name: x.name, Missing: true}})
		}
		r.Skipped = append(r.Skipped, "xdp-filter: "+why)
	}
	file := findPeer(xdpFilter, "/", s.peers)
	if file == "" {
		missing("its program " + xdpFilter + ".o is not there (Debian: libxdp1 of xdp-tools)")
		return nil
	}
	p, err := loadXDPFilter(s, file)
	if err != nil {
		missing(err.Error())
		return nil
	}
	for _, x := range rows {
		got, err := p.Run(&ebpf.RunOptions{Data: x.packet})
		if err != nil {
			return fmt.Errorf("running %s: %w", x.name, err)
		}
		if got != x.verdict {
			return fmt.Errorf("%s: the verdict is %d, want %d: this is another xdp-filter", x.name, got, x.verdict)
		}
		s.add(x.name, fwFloor, p, x.packet)
	}
	return nil
}

// xdpFiltered is the source that xdp-filter drops.
var xdpFiltered = [4]byte{198, 51, 100, 9}

// synPacketFrom is a TCP opening over IPv4 from a source to a port.
func synPacketFrom(port uint16, source [4]byte) []byte {
	b := synPacket(port)
	copy(b[26:], source[:])
	return b
}

// loadXDPFilter loads xdp-filter's program and has it drop one source.
func loadXDPFilter(s *fwSet, file string) (*ebpf.Program, error) {
	spec, err := ebpf.LoadCollectionSpec(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", file, err)
	}
	s.closers = append(s.closers, func() error { c.Close(); return nil })
	addrs, p := c.Maps["filter_ipv4"], c.Programs[xdpFilter]
	if addrs == nil || p == nil {
		return nil, fmt.Errorf("%s lacks the table or the program of the versions that are known", file)
	}
	const source = 1 // its MAP_FLAG_SRC; the bits above count
	flags := make([]uint64, ebpf.MustPossibleCPU())
	for i := range flags {
		flags[i] = source
	}
	if err := addrs.Put(xdpFiltered, flags); err != nil {
		return nil, fmt.Errorf("blocking a source in xdp-filter: %w", err)
	}
	return p, nil
}
