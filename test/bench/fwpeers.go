package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

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

// addPeers measures xdp-filter, if it is installed, as its own loader loads it, in a
// namespace of its own.
func addPeers(s *fwSet, r *Firewall) error {
	if _, err := exec.LookPath("xdp-filter"); err != nil {
		r.Skipped = append(r.Skipped, "xdp-filter: not installed (Debian: xdp-tools)")
		return nil
	}
	ns := "bench" + strconv.Itoa(os.Getpid())
	run := func(args ...string) error {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := run("ip", "netns", "add", ns); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return run("ip", "netns", "del", ns) })
	before, err := programsNamed("xdpfilt")
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"ip", "-n", ns, "link", "add", "bf0", "type", "veth", "peer", "name", "bf1"},
		{"ip", "-n", ns, "link", "set", "bf0", "up"},
		// its maps are pinned in a file system of that one command's own
		{"ip", "netns", "exec", ns, "sh", "-ec", "mount -t bpf bpf /sys/fs/bpf; xdp-filter load -m skb bf0; xdp-filter ip -m src 198.51.100.9"},
	} {
		if err := run(args...); err != nil {
			r.Skipped = append(r.Skipped, "xdp-filter: "+err.Error())
			return nil
		}
	}
	after, err := programsNamed("xdpfilt")
	if err != nil {
		return err
	}
	for id, name := range after {
		if before[id] != "" {
			continue
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return fmt.Errorf("opening xdp-filter's program: %w", err)
		}
		s.closers = append(s.closers, p.Close)
		s.add("xdp-filter ("+name+"), one blocked, IPv4", fwFloor, p, synPacket(80))
		s.add("xdp-filter ("+name+"), one blocked, IPv6", fwFloor, p, synPacket6(80))
		return nil
	}
	r.Skipped = append(r.Skipped, "xdp-filter: its program was not found after it was loaded")
	return nil
}

func programsNamed(prefix string) (map[ebpf.ProgramID]string, error) {
	out := map[ebpf.ProgramID]string{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil { // the end
			return out, nil
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		if info, err := p.Info(); err == nil && strings.HasPrefix(info.Name, prefix) {
			out[id] = info.Name
		}
		if err := p.Close(); err != nil {
			return nil, err
		}
	}
}
