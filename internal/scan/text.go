package scan

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/scan/vmlinux"
)

// bootImage is the image that the running kernel was started from, opened when it is first
// needed, and closed after both looks.
type bootImage struct {
	image *vmlinux.Image
	err   error
}

func (b *bootImage) open(start uint64) (*vmlinux.Image, error) {
	if b.image == nil && b.err == nil {
		b.image, b.err = openImage(start)
	}
	return b.image, b.err
}

func (b *bootImage) close() {
	if b.image != nil {
		b.image.Close()
		b.image = nil
	}
}

// openImage finds the image of the running kernel, and moves it to where that runs; start is
// where its code begins.
func openImage(start uint64) (*vmlinux.Image, error) {
	release := kernel.Release()
	var said []string
	for _, path := range []string{"/boot/vmlinuz-" + release, "/lib/modules/" + release + "/vmlinuz", "/usr/lib/modules/" + release + "/vmlinuz"} {
		m, err := vmlinux.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = sameBuild(m)
		}
		if err == nil {
			// kernels are moved by whole pages of 2 MB
			const large = 2 << 20
			m.Relocate((start - m.Base) &^ (large - 1))
			return m, nil
		}
		if m != nil {
			m.Close()
		}
		said = append(said, err.Error())
	}
	if len(said) == 0 {
		return nil, fmt.Errorf("there is no image of the running kernel: neither /boot/vmlinuz-%s nor /lib/modules/%s/vmlinuz", release, release)
	}
	return nil, errors.New("no image of the running kernel can be read: " + strings.Join(said, "; "))
}

// sameBuild says whether the image is of the kernel that runs.
func sameBuild(m *vmlinux.Image) error {
	notes, err := os.ReadFile("/sys/kernel/notes")
	if err != nil {
		return fmt.Errorf("which build runs is not known: %w", err)
	}
	switch running := vmlinux.BuildID(notes); {
	case running == nil || m.BuildID == nil:
		return errors.New("which build runs is not known: the kernel has no build ID")
	case !bytes.Equal(running, m.BuildID):
		return fmt.Errorf("the image is of another build (%.60s) than the kernel that runs: restart, or put the image of the running kernel back", m.Version)
	}
	return nil
}

const textPage = 4096

// textSeen remembers which pages of the kernel's code were as they should be, so that the
// next look reads the image only if one has changed since.
var textSeen = struct {
	sync.Mutex
	seed  maphash.Seed
	pages map[uint64]uint64 // by address
}{seed: maphash.MakeSeed(), pages: map[uint64]uint64{}}

// changedText compares the kernel's code with its image.
func changedText(h *Host) ([]Finding, error) {
	k, err := h.image()
	if err == nil {
		err = k.check()
	}
	if err != nil {
		return nil, err
	}
	if err := unprovenProcessor("/sys/devices/system/cpu/vulnerabilities/"); err != nil {
		return nil, err
	}
	p, err := newPeek(textLen)
	if err != nil {
		return nil, err
	}
	defer p.close()
	textSeen.Lock()
	defer textSeen.Unlock()
	changed, err := changedPages(p, k)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	m, err := h.boot.open(k.start)
	if err != nil {
		return nil, err
	}
	proven := slices.Contains(provenSeries, series(kernel.Release()))
	if !proven {
		h.note("whether the kernel's code is told to be changed only where it was, is not proved on kernels of " + series(kernel.Release()) +
			", so that kernel-text calls nothing more than possible there; it is on " + strings.Join(provenSeries, ", "))
	}
	probes, err := probePlaces()
	if err != nil {
		h.note("probes on the kernel's code are not known, so that changes of single bytes may be theirs: " + err.Error())
	}
	t := &text{peek: p, image: m, kernel: k, probes: probes, proven: proven, owners: map[uint64]vmlinux.Owner{}}
	return t.compare(changed)
}

// provenSeries are the kernels on which the check was seen to find nothing on a clean host,
// also while its functions are traced and probed, and a function that was changed.
var provenSeries = []string{"5.10", "6.1", "6.12", "6.18", "7.3"}

// series is the beginning of a release, as "6.12" of "6.12.117+deb13-amd64".
func series(release string) string {
	major, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	return major + "." + rest
}

// unprovenProcessor says where the kernel leads calls through code that it makes while it runs
// and that has no name, against flaws of the processor: it looks as that of a rootkit does.
func unprovenProcessor(dir string) error {
	for _, x := range [][2]string{{"indirect_target_selection", "Mitigation"}, {"retbleed", "Stuffing"}} {
		if b, err := os.ReadFile(dir + x[0]); err == nil && strings.Contains(string(b), x[1]) {
			return fmt.Errorf("not proved with what this kernel does against a flaw of this processor: %s is %q", x[0], strings.TrimSpace(string(b)))
		}
	}
	return nil
}

// changedPages lists the pages that are not as a look before found them good.
func changedPages(p *peek, k *image) ([]uint64, error) {
	var out []uint64
	for at := k.start &^ (textPage - 1); at < k.end; at += textLen {
		b, err := p.read(at, int(min(textLen, (k.end-at+textPage-1)&^(textPage-1))))
		if err != nil {
			return nil, err
		}
		for i := 0; i+textPage <= len(b); i += textPage {
			addr := at + uint64(i)
			if sum, ok := textSeen.pages[addr]; !ok || sum != maphash.Bytes(textSeen.seed, b[i:i+textPage]) {
				out = append(out, addr)
			}
		}
	}
	return out, nil
}

// text is one comparison of code.
type text struct {
	peek   *peek
	image  *vmlinux.Image
	kernel *image
	probes map[uint64]bool
	// proven is set on kernels where a clean host is known to have no findings.
	proven bool
	// owners are whose code is at addresses outside the kernel's own; asked are those not
	// known yet.
	owners map[uint64]vmlinux.Owner
	asked  []uint64
	names  map[uint64]string
}

// page is one that was compared: what runs there, with a margin before and behind it.
type page struct {
	addr  uint64
	off   int
	run   []byte
	diffs []vmlinux.Diff
}

func (t *text) owner(addr uint64) vmlinux.Owner {
	who, ok := t.owners[addr]
	if !ok {
		t.owners[addr] = vmlinux.Program // until it is known
		t.asked = append(t.asked, addr)
		return vmlinux.Program
	}
	return who
}

// compare looks at pages twice: when it is known where their code leads, once more.
func (t *text) compare(pages []uint64) ([]Finding, error) {
	var bad []page
	for pass := range 2 {
		bad = bad[:0]
		for _, addr := range pages {
			pg, err := t.page(addr)
			if err != nil {
				return nil, err
			}
			if len(pg.diffs) > 0 {
				bad = append(bad, *pg)
			}
		}
		if pass == 0 {
			if len(t.asked) == 0 {
				break
			}
			t.name(t.asked)
			for _, addr := range t.asked {
				t.owners[addr] = ownerOf(t.names[addr])
			}
		}
	}
	for _, pg := range bad {
		delete(textSeen.pages, pg.addr)
	}
	return t.findings(bad), nil
}

// margin is what is read before and behind a page, so that no place is cut off in it.
const margin = 256

// page compares one, and remembers that it is good.
func (t *text) page(addr uint64) (*page, error) {
	from, to := max(addr-margin, t.kernel.start), min(addr+textPage+margin, t.kernel.end)
	run, err := t.peek.read(from, int(to-from))
	if err != nil {
		return nil, err
	}
	base := t.image.Base + t.image.Delta()
	pg := &page{addr: addr, off: int(from - base), run: run}
	for _, d := range t.image.Compare(pg.off, pg.run, t.owner) {
		if at := base + uint64(d.Off); at < addr+textPage && at >= addr && !t.known(at) {
			pg.diffs = append(pg.diffs, d)
		}
	}
	if len(pg.diffs) == 0 && from <= addr && to >= addr+textPage {
		textSeen.pages[addr] = maphash.Bytes(textSeen.seed, run[addr-from:addr-from+textPage])
	}
	return pg, nil
}

// known reports whether a change is that of a probe, or of ftrace's own code.
func (t *text) known(addr uint64) bool {
	const jump = 5
	for i := range uint64(jump) {
		if t.probes[addr-i] || t.kernel.patched[addr-i] {
			return true
		}
	}
	return false
}

// name finds what is at addresses.
func (t *text) name(addrs []uint64) {
	if t.names == nil {
		t.names = map[uint64]string{}
	}
	symbols, err := kernel.ReadSymbols()
	if err != nil {
		return // without them addresses stand for names
	}
	for _, addr := range addrs {
		const largest = 1 << 16 // what lies far behind a function is none of it
		if name, off := symbols.Find(addr); off <= largest {
			t.names[addr] = fmt.Sprintf("%s+%#x", name, off)
		}
	}
}

// ownerOf tells from a name, as "function [module]+0x1", whose code it is.
func ownerOf(name string) vmlinux.Owner {
	_, module, ok := strings.Cut(name, " [")
	switch {
	case name == "":
		return vmlinux.Nobody
	case !ok:
		return vmlinux.Core
	case strings.HasPrefix(module, "bpf]"), strings.HasPrefix(module, "__builtin"):
		return vmlinux.Program
	}
	return vmlinux.Module
}

// mostTold is how many functions are told one by one.
const mostTold = 20

func (t *text) findings(bad []page) []Finding {
	base := t.image.Base + t.image.Delta()
	var addrs []uint64
	for _, pg := range bad {
		for _, d := range pg.diffs {
			addrs = append(addrs, base+uint64(d.Off))
			if to, _, ok := t.image.Lead(d, pg.off, pg.run); ok {
				addrs = append(addrs, to)
			}
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	t.name(addrs)
	var out []Finding
	told := map[string]bool{}
	jumps := map[int]bool{}
	for _, pg := range bad {
		for _, d := range pg.diffs {
			if _, at, ok := t.image.Lead(d, pg.off, pg.run); ok && jumps[at] {
				continue // the rest of a jump that reaches into a place that the kernel changes
			} else if ok {
				jumps[at] = true
			}
			f := t.finding(pg, d)
			if told[f.Path] {
				continue
			}
			if told[f.Path] = true; len(out) < mostTold {
				out = append(out, f)
			}
		}
	}
	if more := len(told) - len(out); more > 0 {
		out[0].Evidence += fmt.Sprintf("; so are %d functions that are not told", more)
	}
	return out
}

// finding tells of one change.
func (t *text) finding(pg page, d vmlinux.Diff) Finding {
	base := t.image.Base + t.image.Delta()
	place := t.names[base+uint64(d.Off)]
	if place == "" {
		place = fmt.Sprintf("%#x", base+uint64(d.Off))
	}
	function, _, _ := strings.Cut(place, "+")
	f := Finding{What: "the code of " + function + " of the kernel was changed while it runs", Path: function, subject: function, Sure: Likely,
		Do: "Take the host for taken over, unless a product of yours changes the kernel so: keep its memory if you can, and install it anew. See bearcat show module."}
	from := d.Off
	to, at, leads := t.image.Lead(d, pg.off, pg.run)
	if leads {
		from = at
	}
	end := min(max(d.End, from+5), from+16, len(t.image.Text), pg.off+len(pg.run))
	f.Evidence = fmt.Sprintf("at %s the image has %x, and what runs is %x", place, t.image.Text[from:end], pg.run[from-pg.off:end-pg.off])
	if d.Place {
		f.Evidence += ", at a place that the kernel changes by itself, but not so"
	}
	if leads {
		where := t.names[to]
		if where == "" {
			where = "code that belongs to nothing that the kernel knows"
		}
		f.Evidence += fmt.Sprintf("; it leads to %#x, %s", to, where)
		if ownerOf(t.names[to]) != vmlinux.Core {
			f.Sure = Certain
		}
	}
	if !t.proven {
		f.Sure = Possible
		f.Do = "Find out what changes the kernel so: tracers, live patches and products that guard the host do. If nothing does, take the host for taken over."
	}
	return f
}

// probePlaces are the addresses of probes in force, by the kernel's own list.
func probePlaces() (map[uint64]bool, error) {
	b, err := os.ReadFile("/sys/kernel/debug/kprobes/list")
	if err != nil {
		return nil, err
	}
	out := map[uint64]bool{}
	for line := range bytes.Lines(b) {
		var addr uint64
		if _, err := fmt.Sscanf(string(line), "%x", &addr); err == nil {
			out[addr] = true
		}
	}
	return out, nil
}
