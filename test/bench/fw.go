package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// FirewallOptions says how to measure the firewall.
type FirewallOptions struct {
	// Rounds is how often each case is run, in turn with the others; Repeat how
	// many packets a run has.
	Rounds int
	Repeat uint32
	// Peers is a folder below which packages of peers are unpacked, beside those that
	// are installed.
	Peers    string
	Progress io.Writer
}

// Firewall holds what a packet costs in the firewall and in its peers.
type Firewall struct {
	Host   Host     `json:"host"`
	Rounds int      `json:"rounds"`
	Cases  []FwCase `json:"cases"`
	// Changes is how long changes take, in seconds.
	Changes map[string]float64 `json:"changes_s"`
	Skipped []string           `json:"skipped,omitempty"`
}

// FwCase is one program on one kind of packet: processor time in nanoseconds.
type FwCase struct {
	Name  string `json:"name"`
	Floor string `json:"floor,omitempty"` // the case that it stands on
	// Missing: the program is not there; Skipped says why.
	Missing bool      `json:"missing,omitempty"`
	NS      []float64 `json:"ns"`
}

type fwRun struct {
	FwCase
	program *ebpf.Program
	packet  []byte
}

// MeasureFirewall runs the firewall's program in the kernel on one processor, in turn
// with a program that does nothing and with what peers are installed. The time is
// that of the thread, which other work on the machine does not count for.
func MeasureFirewall(ctx context.Context, o FirewallOptions) (*Firewall, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var cpu unix.CPUSet
	cpu.Set(0)
	if err := unix.SchedSetaffinity(0, &cpu); err != nil {
		return nil, fmt.Errorf("keeping to one processor: %w", err)
	}
	r := &Firewall{Host: readHost(), Rounds: o.Rounds, Changes: map[string]float64{}}
	set, err := newFwSet(r, o.Peers)
	if err != nil {
		return nil, errors.Join(err, set.close())
	}
	for round := range o.Rounds {
		fmt.Fprintf(o.Progress, "  round %d of %d\n", round+1, o.Rounds)
		for i := range set.runs {
			if ctx.Err() != nil {
				return nil, errors.Join(fmt.Errorf("%w: %w", errStopped, ctx.Err()), set.close())
			}
			run := &set.runs[i]
			if round%2 == 1 { // and back, so that none is always behind the same one
				run = &set.runs[len(set.runs)-1-i]
			}
			if run.Missing {
				continue
			}
			ns, err := perPacket(run.program, run.packet, o.Repeat)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("running %s: %w", run.Name, err), set.close())
			}
			run.NS = append(run.NS, ns)
		}
	}
	for _, run := range set.runs {
		r.Cases = append(r.Cases, run.FwCase)
	}
	return r, set.close()
}

// perPacket gives the thread's time for one packet.
func perPacket(p *ebpf.Program, packet []byte, repeat uint32) (float64, error) {
	var before, after unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before); err != nil {
		return 0, err
	}
	if _, err := p.Run(&ebpf.RunOptions{Data: packet, Repeat: repeat}); err != nil {
		return 0, err
	}
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after); err != nil {
		return 0, err
	}
	return float64(after.Nano()-before.Nano()) / float64(repeat), nil
}

// fwSet is everything that is measured, loaded side by side.
type fwSet struct {
	runs    []fwRun
	closers []func() error
	peers   string
}

func (s *fwSet) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

func (s *fwSet) add(name, floor string, p *ebpf.Program, packet []byte) {
	s.runs = append(s.runs, fwRun{FwCase{Name: name, Floor: floor}, p, packet})
}

// firewall loads one more firewall, with a policy.
func (s *fwSet) firewall(p *firewall.Policy) (*xdp.Firewall, error) {
	f, err := xdp.Load()
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, f.Close)
	return f, f.Apply(p)
}

const (
	fwFloor  = "floor: return XDP_PASS"
	fwVaried = "floor, every packet a new source"
)

func newFwSet(r *Firewall, peers string) (*fwSet, error) {
	s := &fwSet{peers: peers}
	floor, err := passProgram(s)
	if err != nil {
		return s, err
	}
	s.add(fwFloor, "", floor, synPacket(80))
	varied, err := variedProgram(s, floor)
	if err != nil {
		return s, err
	}
	s.add(fwVaried, "", varied, synPacket(22))
	for _, part := range []func(*fwSet, *Firewall) error{addPassing, addBlocked, addRules, addFlood, addPeers} {
		if err := part(s, r); err != nil {
			return s, err
		}
	}
	return s, nil
}

func addPassing(s *fwSet, _ *Firewall) error {
	f, err := s.firewall(firewall.Empty())
	if err != nil {
		return err
	}
	s.add("bearcat, empty policy, IPv4", fwFloor, f.Program(), synPacket(80))
	s.add("bearcat, empty policy, IPv6", fwFloor, f.Program(), synPacket6(80))
	return nil
}

// addBlocked fills block lists and drops the packet's source, and passes others.
func addBlocked(s *fwSet, r *Firewall) error {
	for _, n := range []int{1, 1_000, 100_000, 1_000_000} {
		f, err := s.firewall(firewall.Empty())
		if err != nil {
			return err
		}
		start := time.Now()
		list := []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}
		for i := 1; i < n; i++ {
			x := uint32(i) * 2654435761 // all over the address space, each once
			a := netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
			list = append(list, netip.PrefixFrom(a, 32))
		}
		if _, err := f.BlockAll(list); err != nil {
			return err
		}
		if n == 1_000_000 {
			r.Changes["a million addresses blocked"] = time.Since(start).Seconds()
		}
		s.add(fmt.Sprintf("bearcat, %d blocked, drop", n), fwFloor, f.Program(), synPacket(80))
		varied, err := variedProgram(s, f.Program())
		if err != nil {
			return err
		}
		s.add(fmt.Sprintf("bearcat, %d blocked, every packet a new source", n), fwVaried, varied, synPacket(80))
	}
	return nil
}

// addRules makes policies whose last rule holds, and packets that no rule is about.
func addRules(s *fwSet, r *Firewall) error {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		p := typicalPolicy(n)
		f, err := s.firewall(p)
		if err != nil {
			return err
		}
		if n == 10_000 {
			start := time.Now()
			if err := f.Apply(p); err != nil {
				return err
			}
			r.Changes["10,000 rules applied"] = time.Since(start).Seconds()
		}
		s.add(fmt.Sprintf("bearcat, %d rules, the last holds", n), fwFloor, f.Program(), synPacket(22))
		s.add(fmt.Sprintf("bearcat, %d rules, none holds", n), fwFloor, f.Program(), synPacket(81))
	}
	return nil
}

func addFlood(s *fwSet, r *Firewall) error {
	p := firewall.Empty()
	p.Guards = []firewall.Guard{{
		Name: "ssh", Ports: []firewall.Range{{Lo: 22, Hi: 22}}, Connections: 5, Per: time.Minute, Ban: 10 * time.Minute, HalfOpen: 20,
	}}
	f, err := s.firewall(p)
	if err != nil {
		return err
	}
	varied, err := variedProgram(s, f.Program())
	if err != nil {
		return err
	}
	s.add("bearcat, guard with a limit, every packet a new source", fwVaried, varied, synPacket(22))
	start := time.Now()
	const bans = 50_000
	for i := range bans {
		a := netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
		if err := f.Ban(netip.PrefixFrom(a, 32), time.Hour); err != nil {
			return err
		}
	}
	r.Changes["10,000 bans"] = time.Since(start).Seconds() / (bans / 10_000)
	return nil
}

// WriteText prints the table.
func (r *Firewall) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s; processor time by BPF_PROG_TEST_RUN, %d rounds in turn\n\n", r.Host, r.Rounds)
	byName := map[string]*FwCase{}
	for i := range r.Cases {
		byName[r.Cases[i].Name] = &r.Cases[i]
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tns a packet\tleast\tover the floor\t")
	for _, c := range r.Cases {
		if c.Missing {
			fmt.Fprintf(t, "%s\tnot there\t–\t–\t\n", c.Name)
			continue
		}
		over := ""
		if floor := byName[c.Floor]; floor != nil {
			var diff []float64
			for i := range min(len(c.NS), len(floor.NS)) {
				diff = append(diff, c.NS[i]-floor.NS[i])
			}
			over = fmt.Sprintf("%.1f", median(diff))
		}
		least := 0.0
		for i, v := range c.NS {
			if i == 0 || v < least {
				least = v
			}
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%s\t\n", c.Name, median(c.NS), least, over)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, name := range []string{"a million addresses blocked", "10,000 rules applied", "10,000 bans"} {
		if v, ok := r.Changes[name]; ok {
			fmt.Fprintf(w, "%s in %.2f s\n", name, v)
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "not measured: %s\n", s)
	}
	return nil
}
