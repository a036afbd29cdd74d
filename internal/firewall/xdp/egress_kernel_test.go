package xdp

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp/xdptest"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// alone moves the test into a network namespace of its own, which ends with its thread, and
// gives a folder for pins.
func alone(t *testing.T) string {
	t.Helper()
	guest.NeedKernel(t)
	if guest.Name() != "" {
		guest.Modprobe(t, "sch_ingress", "cls_bpf")
	}
	runtime.LockOSThread() // never undone
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s) //nolint:errcheck // a socket for one request
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(err)
	}
	return pinnedFolder(t)
}

// foreign is a program of someone else, which lets all packets out.
func foreign(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// leaves says whether a datagram to a port of this host goes out.
func leaves(t *testing.T, port int) bool {
	t.Helper()
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only a test
	c, err := net.DialUDP("udp4", nil, l.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only a test
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	// over lo it has arrived when the call ends, or it never will
	_ = l.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = l.Read(make([]byte, 8))
	return err == nil
}

// released waits until nothing keeps the datagram: the kernel lets go of what is no longer
// pinned a moment later.
func released(t *testing.T) bool {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for !leaves(t, 7001) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// filters counts those of tc.
func filters(t *testing.T, index int) int {
	t.Helper()
	messages, err := tc(unix.RTM_GETTFILTER, unix.NLM_F_DUMP, index, 0, egressParent, 0, nil)
	if err != nil && !isNone(err) {
		t.Fatal(err)
	}
	n := 0
	for _, m := range messages { // of each priority there is an account without a handle too
		if len(m.Data) >= sizeOfTCHeader && m.Data[8] != 0 {
			n++
		}
	}
	return n
}

// programID is the number of a pinned program.
func programID(t *testing.T, dir, name string) ebpf.ProgramID {
	t.Helper()
	p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // only asked
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

// TestEgress attaches in both ways beside programs of others, and takes away what it put
// there and nothing else.
func TestEgress(t *testing.T) {
	dir := alone(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%+v", err)
		}
	}
	open := func() *Firewall {
		t.Helper()
		f, _, err := Install(dir, "test", nil)
		must(err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	f := open()
	policy := &firewall.Policy{Rules: []firewall.Rule{{
		Name: "no", Action: firewall.Drop, Out: true, Match: firewall.Match{Has: firewall.DstPort, DstPort: []firewall.Range{{Lo: 7001, Hi: 7001}}},
	}}}
	must(f.Apply(policy))
	_, err = f.Attach("lo", Generic)
	must(err)
	others := foreign(t)
	// someone else's filter lets all out, behind the firewall's
	must(addFilter(lo.Index, others.FD()))
	must(removeFilter(lo.Index))
	_, err = tc(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, lo.Index, 0x1234, egressParent, 1<<16|0x300, filterAttributes(others.FD()))
	must(err)
	ways := map[string]bool{Clsact: false}
	if haveTCX(lo.Index) {
		ways[TCX] = true
		l, err := link.AttachTCX(link.TCXOptions{Interface: lo.Index, Program: others, Attach: ebpf.AttachTCXEgress})
		must(err)
		t.Cleanup(func() { _ = l.Close() })
	}
	programs := func() int {
		if !ways[TCX] {
			return 1
		}
		q, err := link.QueryPrograms(link.QueryOptions{Target: lo.Index, Attach: ebpf.AttachTCXEgress})
		must(err)
		return len(q.Programs)
	}
	for want, tcx := range ways {
		if !tcx && ways[TCX] { // the foreign program there would let all out before a filter is asked
			continue
		}
		entry, err := f.egressProgram()
		must(err)
		how, err := f.putEgress(lo, entry, tcx)
		must(err)
		_ = entry.Close()
		if at, err := f.Attached(); err != nil || how != want || len(at) != 1 || at[0].Egress != want {
			t.Errorf("%s: attached by %s: %+v, %v", want, how, at, err)
		}
		if leaves(t, 7001) || !leaves(t, 7002) {
			t.Errorf("%s: what goes out is not judged by the rules", want)
		}
		open() // as the same version does
		if leaves(t, 7001) || !leaves(t, 7002) {
			t.Errorf("%s: what goes out is not judged by the program that came after", want)
		}
		// and as another build does, whose policy is in other tables
		must(xdptest.Age(dir, "odd", "configs", "counters"))
		next, had, err := Install(dir, "test", func(f *Firewall, _ *Carried) error { return f.Apply(policy) })
		must(err)
		t.Cleanup(func() { _ = next.Close() })
		if had.Policy || leaves(t, 7001) || !leaves(t, 7002) {
			t.Errorf("%s: what goes out is not judged in the tables of another build: %+v", want, had)
		}
		if want == Clsact && programID(t, dir, "egress/entry") != programID(t, dir, "egress/clsact/lo") {
			t.Error("the pin of the filter has the program before")
		}
		s, err := next.Stats()
		must(err)
		if len(s.Rules) != 1 || s.Rules[0].Packets < 1 || len(s.Out) == 0 {
			t.Errorf("%s: counted %+v", want, s)
		}
		must(next.DetachEgress("lo"))
		if next.DetachEgress("lo") == nil {
			t.Errorf("%s: it was detached twice", want)
		}
		if !released(t) || filters(t, lo.Index) != 1 || programs() != 1 {
			t.Errorf("%s: after it was detached, %d filters and %d programs are left", want, filters(t, lo.Index), programs())
		}
		// and all at once
		_, err = next.AttachEgress("lo")
		must(err)
		must(Panic(dir))
		if !released(t) || filters(t, lo.Index) != 1 || programs() != 1 {
			t.Errorf("%s: panic left %d filters and %d programs", want, filters(t, lo.Index), programs())
		}
	}
}

// TestEgressByFilter attaches as on kernels without tcx, on those that have it too.
func TestEgressByFilter(t *testing.T) {
	dir := alone(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := Install(dir, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only a test
	if err := f.Apply(&firewall.Policy{DefaultOut: firewall.Drop, Rules: []firewall.Rule{{
		Name: "yes", Action: firewall.Pass, Out: true, Match: firewall.Match{Has: firewall.DstPort, DstPort: []firewall.Range{{Lo: 7002, Hi: 7002}}},
	}}}); err != nil {
		t.Fatal(err)
	}
	entry, err := f.egressProgram()
	if err != nil {
		t.Fatal(err)
	}
	defer entry.Close() //nolint:errcheck // pinned
	if how, err := f.putEgress(lo, entry, false); err != nil || how != Clsact {
		t.Fatalf("attached by %q, %v", how, err)
	}
	if leaves(t, 7001) || !leaves(t, 7002) {
		t.Error("what goes out is not judged by the rules")
	}
	if err := f.updateEgress(Attachment{Device: "lo", Egress: Clsact}, entry); err != nil {
		t.Error(err)
	}
	if _, err := f.putEgress(lo, entry, false); err == nil || filters(t, lo.Index) != 1 {
		t.Errorf("a second filter: %v, there are %d", err, filters(t, lo.Index))
	}
	if err := pinCopy(entry, f.egressPath(Clsact, "lo")); err != nil { // which that attempt took away
		t.Fatal(err)
	}
	if err := Panic(dir); err != nil || !leaves(t, 7001) || filters(t, lo.Index) != 0 {
		t.Errorf("panic left %d filters: %v", filters(t, lo.Index), err)
	}
}

// FuzzIsOurs reads broken accounts of filters.
func FuzzIsOurs(f *testing.F) {
	whole := append(make([]byte, sizeOfTCHeader), filterAttributes(3)...)
	copy(whole[8:], number(filterHandle))
	f.Add(whole)
	f.Add(whole[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		if isOurs(b) && len(b) < sizeOfTCHeader+len(filterName) {
			t.Errorf("%x is taken for the firewall's filter", b)
		}
	})
}
