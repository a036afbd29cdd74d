package xdp

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/model"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var (
	frames = flag.Int("fw.frames", 1_000_000, "frames that the program and the model are compared on")
	seed   = flag.Uint64("fw.seed", 1, "seed of policies and frames")
)

func load(t testing.TB) *Firewall {
	t.Helper()
	guest.NeedKernel(t)
	f, err := Load()
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// bucket is where the program keeps the account of a frame's source, or flow.
func bucket(seed uint64, f *model.Frame, flow bool, counter uint32) uint64 {
	words := func(a netip.Addr) (uint64, uint64) {
		var b [16]byte
		copy(b[:], a.AsSlice())
		return binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	}
	if flow {
		hi, lo := words(f.Dst)
		seed = mix(seed, hi, lo, uint64(f.SrcPort)<<32|uint64(f.DstPort)<<16|uint64(f.Protocol))
	}
	hi, lo := words(f.Src)
	return mix(seed, hi, lo, uint64(counter)) >> 32 & 65535
}

// TestProgramIsTheModel runs frames of every shape, many of them broken, through
// the real program under random policies and wants the verdicts, the counts by
// reason and the counts by rule that the model gives.
func TestProgramIsTheModel(t *testing.T) {
	f := load(t)
	total := *frames
	if guest.Name() != "" && total > 100_000 { // emulated
		total = 100_000
	}
	rnd := rand.New(rand.NewPCG(*seed, 0))
	const each = 10_000
	for n := 0; n < total; n += each {
		comparePolicy(t, f, f.objs.FwEntry, false, rnd, each)
		if t.Failed() {
			return
		}
	}
}

// TestEgressIsTheModel does so with the program for what goes out.
func TestEgressIsTheModel(t *testing.T) {
	f := load(t)
	p, err := f.loadEgress()
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	total := *frames / 2
	if guest.Name() != "" && total > 40_000 { // emulated
		total = 40_000
	}
	rnd := rand.New(rand.NewPCG(*seed, 1))
	const each = 10_000
	for n := 0; n < total && !t.Failed(); n += each {
		comparePolicy(t, f, p.FwEntry, true, rnd, each)
	}
}

// gives is what a program returns for a verdict.
func gives(out, drop bool) uint32 {
	switch {
	case out && drop:
		return 2
	case out:
		return math.MaxUint32 // whoever comes next decides
	case drop:
		return 1
	}
	return 2
}

func comparePolicy(t *testing.T, f *Firewall, entry *ebpf.Program, out bool, rnd *rand.Rand, n int) {
	g := gen{rnd}
	p, lists := g.policy(), g.lists()
	control, err := f.control()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(f.Apply(p))
	for _, x := range lists.Allow {
		must(f.Allow(x))
	}
	for _, x := range lists.Block {
		must(f.Block(x, 0))
	}
	for _, x := range lists.Ban {
		must(f.Ban(x, time.Hour))
	}
	for i := range 4 * uint32(firewall.Reasons) {
		must(f.objs.Reasons.Put(i, make([]progFwCount, ebpf.MustPossibleCPU())))
	}
	before, err := f.Stats()
	must(err)
	ids, err := f.counterIDs(wantedCounters(p))
	must(err)
	m := model.New(p, lists)
	m.Out = out
	touched := map[uint64]bool{}
	active := p.Active()
	m.Hash = func(f *model.Frame, rule int) uint64 {
		k := bucket(control.Seed, f, active[rule].Flow, ids[active[rule].Name])
		touched[k] = true
		return k
	}
	reasons := map[string]uint64{}
	would := map[string]uint64{}
	for range n {
		b := g.frame()
		want := m.Judge(b, 1, time.Hour)
		ret, err := entry.Run(&ebpf.RunOptions{Data: b})
		if out && errors.Is(err, unix.EINVAL) && len(b) < 14+40 {
			if _, reason := model.Read(b); reason.Malformed() {
				continue // newer kernels let no packet out that is so short
			}
		}
		if err != nil {
			t.Fatalf("running the program on %x: %v", b, err)
		}
		if ret != gives(out, want.Drop) {
			frame, why := model.Read(b)
			t.Fatalf("the program gives %d, the model %+v\nframe %x\nread as %+v (%v)\nlists %+v\npolicy %+v", ret, want, b, frame, why, lists, p)
		}
		verdict := "pass"
		if want.Drop {
			verdict = "drop"
		}
		reasons[want.Reason.String()+" "+verdict]++
		for _, r := range want.Would {
			would[r]++
		}
	}
	after, err := f.Stats()
	must(err)
	counted, other := after.Reasons, after.Out
	if out {
		counted, other = other, counted
	}
	if len(other) > 0 {
		t.Errorf("counted for the other direction: %v", other)
	}
	for _, c := range counted {
		k := c.Name + " " + c.Verdict
		if c.Packets != reasons[k] {
			t.Errorf("%s: counted %d times, the model %d (policy %+v)", k, c.Packets, reasons[k], p)
		}
		delete(reasons, k)
	}
	if len(reasons) > 0 {
		t.Errorf("not counted: %v", reasons)
	}
	rules := map[string]firewall.Rule{}
	for _, r := range p.Active() {
		rules[r.Name] = r
	}
	for i, c := range after.Rules {
		if r := rules[c.Name]; r.Monitor && r.Action == firewall.Drop && c.Over-before.Rules[i].Over != would[c.Name] {
			t.Errorf("rule %s would have dropped %d, the model says %d", c.Name, c.Over-before.Rules[i].Over, would[c.Name])
		}
	}
	for k := range touched {
		must(f.objs.Buckets.Put(uint32(k), uint64(0)))
	}
	_, err = f.Flush()
	must(err)
	allowed, err := f.Allowed()
	must(err)
	for _, e := range allowed {
		_, err := f.Unallow(e.Prefix)
		must(err)
	}
}

// TestManyRules compares under policies of up to the greatest size.
func TestManyRules(t *testing.T) {
	f := load(t)
	sizes := []int{1, 64, 65, 1000, firewall.MaxRules}
	if guest.Name() != "" {
		sizes = []int{64, 1000}
	}
	for _, size := range sizes {
		g := gen{rand.New(rand.NewPCG(*seed, uint64(size)))}
		p := &firewall.Policy{Default: firewall.Drop}
		for i := range size {
			r := g.rule(i)
			r.Action, r.Ban, r.Monitor = firewall.Action(g.IntN(3)), 0, false
			if i < size-3 { // mostly rules that go on, so that the search goes far
				r.Action = firewall.Count
			}
			p.Rules = append(p.Rules, r)
		}
		if err := f.Apply(p); err != nil {
			t.Fatal(err)
		}
		m := model.New(p, model.Lists{})
		for range 200 {
			b := g.frame()
			want := m.Judge(b, 1, 0)
			ret, err := f.objs.FwEntry.Run(&ebpf.RunOptions{Data: b})
			if err != nil || (ret == 1) != want.Drop {
				t.Fatalf("%d rules: the program gives %d, %v, the model %+v for %x", size, ret, err, want, b)
			}
		}
	}
}

type gen struct{ *rand.Rand }

func (g gen) addr4() netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(g.IntN(2)), byte(g.IntN(3)), byte(g.IntN(4))})
}

func (g gen) addr6() netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(g.IntN(2)), 15: byte(g.IntN(4))})
}

func (g gen) prefix() netip.Prefix {
	if g.IntN(2) == 0 {
		return netip.PrefixFrom(g.addr4(), []int{0, 7, 8, 15, 16, 17, 23, 24, 25, 30, 31, 32, 32}[g.IntN(13)]).Masked()
	}
	return netip.PrefixFrom(g.addr6(), []int{0, 32, 48, 64, 126, 127, 128, 128}[g.IntN(8)]).Masked()
}

func (g gen) prefixes() []netip.Prefix {
	out := make([]netip.Prefix, 1+g.IntN(4))
	for i := range out {
		out[i] = g.prefix()
	}
	return out
}

func (g gen) lists() model.Lists {
	var l model.Lists
	if g.IntN(3) == 0 {
		l.Allow = g.prefixes()
	}
	if g.IntN(3) == 0 {
		l.Block = append(l.Block, netip.PrefixFrom(g.addr4(), 24+g.IntN(9)).Masked(), netip.PrefixFrom(g.addr6(), 120+g.IntN(9)).Masked())
	}
	if g.IntN(3) == 0 {
		l.Ban = append(l.Ban, netip.PrefixFrom(g.addr4(), 32), netip.PrefixFrom(g.addr6(), 128))
	}
	return l
}

func (g gen) policy() *firewall.Policy {
	p := &firewall.Policy{
		Default: firewall.Action(g.IntN(2)), DefaultOut: firewall.Action(g.IntN(2)), Malformed: firewall.Action(g.IntN(2)), Unparsed: firewall.Action(g.IntN(2)),
		Monitor: g.IntN(10) == 0,
	}
	n := g.IntN(12)
	if g.IntN(5) == 0 {
		n = 60 + g.IntN(200)
	}
	for i := range n {
		p.Rules = append(p.Rules, g.rule(i))
	}
	return p
}

func (g gen) port() uint16 { return []uint16{0, 1, 22, 53, 80, 443, 65534, 65535}[g.IntN(8)] }

func (g gen) span(lo, hi int) firewall.Range {
	a, b := lo+g.IntN(hi-lo+1), lo+g.IntN(hi-lo+1)
	return firewall.Range{Lo: uint16(min(a, b)), Hi: uint16(max(a, b))}
}

func (g gen) ports() []firewall.Range {
	out := make([]firewall.Range, 1+g.IntN(3))
	for i := range out {
		a, b := g.port(), g.port()
		out[i] = firewall.Range{Lo: min(a, b), Hi: max(a, b)}
		if g.IntN(2) == 0 {
			out[i].Hi = out[i].Lo
		}
	}
	return out
}

// fields is how many there are.
const fields = 17

// payload asks for bytes as the frames have them; most begin near the payload's beginning.
func (g gen) payload() firewall.Payload {
	p := firewall.Payload{Offset: uint16(g.IntN(4)), Bytes: make([]byte, 1+g.IntN(3))}
	switch g.IntN(6) {
	case 0:
		p.Offset = uint16(g.IntN(60))
	case 1:
		p.Bytes = make([]byte, 1+g.IntN(firewall.MaxPayload))
	case 2:
		p.Offset = uint16(g.IntN(firewall.MaxPayloadOffset + 1))
	}
	for i := range p.Bytes {
		p.Bytes[i] = g.letter()
	}
	if g.IntN(2) == 0 {
		p.Mask = make([]byte, len(p.Bytes))
		for i := range p.Mask {
			p.Mask[i] = []byte{0, 0xff, 0xfe, 1}[g.IntN(4)]
			p.Bytes[i] &= p.Mask[i]
		}
	}
	return p
}

func (g gen) letter() byte { return []byte{0, 0, 'a', 'b'}[g.IntN(4)] }

func (g gen) rule(i int) firewall.Rule {
	r := firewall.Rule{
		Name: fmt.Sprintf("r%d", i), Action: firewall.Action(g.IntN(4)), Disabled: g.IntN(10) == 0, Monitor: g.IntN(6) == 0,
		Packets: 1, Per: time.Hour, Burst: uint64(1 + g.IntN(20)), Flow: g.IntN(3) == 0, Out: g.IntN(3) == 0,
	}
	if g.IntN(3) == 0 { // so slow that the time of the test earns none
		r.Packets, r.Bytes, r.Burst = 0, 1, uint64(500+g.IntN(2000))
	}
	if (r.Action == firewall.Drop || r.Action == firewall.Limit) && !r.Out && g.IntN(8) == 0 {
		r.Ban, r.Unproven = time.Hour, g.IntN(3) > 0
	}
	m := &r.Match
	for range g.IntN(4) {
		m.Has |= 1 << g.IntN(fields)
	}
	m.Not = m.Has & firewall.Field(g.IntN(1<<fields)) & firewall.Field(g.IntN(1<<fields))
	m.Src, m.Dst = g.some(m.Has&firewall.Src != 0), g.some(m.Has&firewall.Dst != 0)
	if m.Has&firewall.SrcPort != 0 {
		m.SrcPort = g.ports()
	}
	if m.Has&firewall.DstPort != 0 {
		m.DstPort = g.ports()
	}
	if m.Has&firewall.Protocol != 0 {
		m.Protocols = []uint8{g.protocol(), g.protocol()}
	}
	m.Length, m.VLAN, m.TTL, m.DSCP = g.span(14, 200), g.span(0, 4), g.span(0, 255), g.span(0, 63)
	m.ICMPType, m.ICMPCode = g.span(0, 255), g.span(0, 3)
	m.TCPSet = uint8(1 << g.IntN(6))
	m.TCPUnset = uint8(1<<g.IntN(6)) &^ m.TCPSet
	m.Fragments = uint8(1 + g.IntN(7))
	m.MAC = [6]byte{2, 0, 0, 0, 0, byte(g.IntN(3))}
	m.Device = uint32(1 + g.IntN(2))
	m.Payload = g.payload()
	return r
}

func (g gen) some(yes bool) []netip.Prefix {
	if !yes {
		return nil
	}
	return g.prefixes()
}

func (g gen) protocol() uint8 {
	return []uint8{6, 6, 6, 17, 17, 1, 58, 132, 33, 136, 47, 50, 4, 59, 255}[g.IntN(15)]
}
