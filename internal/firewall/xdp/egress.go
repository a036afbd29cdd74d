package xdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// How what goes out is seen.
const (
	TCX    = "tcx"    // a link, since Linux 6.6
	Clsact = "clsact" // a filter of tc
)

// egressDir has the program for what goes out, in tcx the links, and in clsact for each
// device with a filter the program of the filter, so that it can be found again.
func egressDir(dir string) string { return filepath.Join(dir, "egress") }

func (f *Firewall) egressPath(how, device string) string {
	return filepath.Join(egressDir(f.dir), how, device)
}

// outPrograms is the program for what goes out. All its maps but its own frame and the one
// through which it calls itself are those of the other.
type outPrograms struct {
	FwEntry *ebpf.Program `ebpf:"fw_entry"`
	FwMatch *ebpf.Program `ebpf:"fw_match"`
	Again   *ebpf.Map     `ebpf:"again"`
}

func (p *outPrograms) close() error {
	return errors.Join(p.FwEntry.Close(), p.FwMatch.Close(), p.Again.Close())
}

func (f *Firewall) loadEgress() (*outPrograms, error) {
	spec, err := loadEgress()
	if err != nil {
		return nil, fmt.Errorf("reading the program for what goes out: %w", err)
	}
	coarse := uint8(0)
	if features.HaveProgramHelper(ebpf.SchedCLS, asm.FnKtimeGetCoarseNs) == nil { // since 5.11
		coarse = 1
	}
	if err := spec.Variables["has_coarse"].Set(coarse); err != nil {
		return nil, fmt.Errorf("preparing the program for what goes out: %w", err)
	}
	shared := map[string]*ebpf.Map{}
	for name, m := range f.tables() {
		if spec.Maps[name] != nil && name != "frames" {
			shared[name] = m
		}
	}
	p := &outPrograms{}
	if err := spec.LoadAndAssign(p, &ebpf.CollectionOptions{MapReplacements: shared}); err != nil {
		return nil, fmt.Errorf("loading the program for what goes out: %w", err)
	}
	return p, nil
}

// AttachEgress has what goes out through a device judged by the rules for that. It comes
// before the programs and filters that are there, and replaces none.
func (f *Firewall) AttachEgress(device string) (how string, err error) {
	if f.dir == "" {
		return "", errors.New("a firewall that is not pinned cannot be attached")
	}
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return "", fmt.Errorf("there is no device %q: ip link lists them", device)
	}
	if how, err := f.egress(device); err != nil || how != "" {
		return how, err
	}
	if err := isEthernet(device); err != nil {
		return "", err
	}
	entry, err := f.egressProgram()
	if err != nil {
		return "", err
	}
	defer entry.Close() //nolint:errcheck // pinned
	return f.putEgress(dev, entry, haveTCX(dev.Index))
}

// haveTCX asks for the programs at a device, which kernels before 6.6 do not understand.
func haveTCX(index int) bool {
	_, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXEgress})
	return err == nil
}

func (f *Firewall) putEgress(dev *net.Interface, entry *ebpf.Program, tcx bool) (string, error) {
	for _, how := range []string{TCX, Clsact} {
		if err := os.MkdirAll(filepath.Join(egressDir(f.dir), how), 0o700); err != nil {
			return "", fmt.Errorf("making a folder for attachments: %w", err)
		}
		// what is left of a device that came anew under its name
		if err := os.Remove(f.egressPath(how, dev.Name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("removing what is left of an attachment: %w", err)
		}
	}
	if !tcx {
		if err := addFilter(dev.Index, entry.FD()); err != nil {
			return "", fmt.Errorf("attaching to what goes out of %s, by clsact since the kernel has no tcx (Linux 6.6): %w", dev.Name, err)
		}
		if err := pinCopy(entry, f.egressPath(Clsact, dev.Name)); err != nil {
			return "", errors.Join(fmt.Errorf("pinning the attachment: %w", err), removeFilter(dev.Index))
		}
		return Clsact, nil
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: dev.Index, Program: entry, Attach: ebpf.AttachTCXEgress, Anchor: link.Head()})
	if err != nil {
		return "", fmt.Errorf("attaching to what goes out of %s: %w", dev.Name, err)
	}
	defer l.Close() //nolint:errcheck // pinned, or the caller's end is its end
	if err := l.Pin(f.egressPath(TCX, dev.Name)); err != nil {
		return "", fmt.Errorf("pinning the attachment: %w", err)
	}
	return TCX, nil
}

// pinCopy pins a program that is pinned elsewhere and stays so.
func pinCopy(p *ebpf.Program, path string) error {
	c, err := p.Clone()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the pin holds it
	return c.Pin(path)
}

// egressProgram gives the pinned program for what goes out, loaded first where it is not.
func (f *Firewall) egressProgram() (*ebpf.Program, error) {
	dir := egressDir(f.dir)
	p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, "entry"), nil)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	loaded, err := f.loadEgress()
	if err != nil {
		return nil, err
	}
	defer loaded.close() //nolint:errcheck // the pins hold it
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", dir, err)
	}
	again := filepath.Join(dir, "again")
	if err := os.Remove(again); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing %s, left by an attempt before: %w", again, err)
	}
	if err := errors.Join(loaded.Again.Pin(again), loaded.FwEntry.Pin(filepath.Join(dir, "entry"))); err != nil {
		return nil, fmt.Errorf("pinning the program for what goes out: %w", err)
	}
	return loaded.FwEntry.Clone()
}

// egress says how what goes out of a device is seen; empty: it is not.
func (f *Firewall) egress(device string) (string, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return "", nil // it is gone, with what was at it
	}
	l, err := link.LoadPinnedLink(f.egressPath(TCX, device), nil)
	if err == nil {
		defer l.Close() //nolint:errcheck // pinned
		info, err := l.Info()
		if err != nil {
			return "", fmt.Errorf("asking for the attachment to what goes out of %s: %w", device, err)
		}
		if x := info.TCX(); x != nil && int(x.Ifindex) == dev.Index {
			return TCX, nil
		}
		return "", nil
	}
	if _, err := os.Stat(f.egressPath(Clsact, device)); err != nil {
		return "", nil //nolint:nilerr // nothing is pinned
	}
	if there, err := hasFilter(dev.Index); err != nil || !there {
		return "", err
	}
	return Clsact, nil
}

// DetachEgress no longer looks at what goes out of a device.
func (f *Firewall) DetachEgress(device string) error {
	how, err := f.egress(device)
	if err != nil {
		return err
	}
	if how == "" {
		return fmt.Errorf("the firewall does not look at what goes out of %q: bearcat fw status says where it is", device)
	}
	if how == Clsact {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return fmt.Errorf("there is no device %q: ip link lists them", device)
		}
		if err := removeFilter(dev.Index); err != nil {
			return fmt.Errorf("detaching from what goes out of %s: %w", device, err)
		}
	}
	if err := os.Remove(f.egressPath(how, device)); err != nil {
		return fmt.Errorf("detaching from what goes out of %s: %w", device, err)
	}
	return nil
}

// nextEgress loads this build's program for what goes out where one of another is pinned;
// else it gives none.
func (f *Firewall) nextEgress() (*outPrograms, error) {
	if _, err := os.Stat(filepath.Join(egressDir(f.dir), "entry")); err != nil {
		return nil, nil //nolint:nilerr // nothing looks at what goes out
	}
	return f.loadEgress()
}

// pins gives how what is pinned of a program is, by the path in the folder of pins. A filter
// is found again by a pin of its program.
func (p *outPrograms) pins(attached []Attachment) map[string]func(string) error {
	out := map[string]func(string) error{"egress/entry": p.FwEntry.Pin, "egress/again": p.Again.Pin}
	for _, a := range attached {
		if a.Egress == Clsact {
			out[filepath.Join("egress", Clsact, a.Device)] = func(path string) error { return pinCopy(p.FwEntry, path) }
		}
	}
	return out
}

// replaceEgress has this program judge what goes out where another's does: no packet is
// missed.
func (f *Firewall) replaceEgress(p *outPrograms, attached []Attachment) error {
	for _, a := range attached {
		if err := f.updateEgress(a, p.FwEntry); err != nil {
			return fmt.Errorf("replacing the program for what goes out of %s: %w", a.Device, err)
		}
	}
	return nil
}

func (f *Firewall) updateEgress(a Attachment, entry *ebpf.Program) error {
	switch a.Egress {
	case TCX:
		l, err := link.LoadPinnedLink(f.egressPath(TCX, a.Device), nil)
		if err != nil {
			return err
		}
		defer l.Close() //nolint:errcheck // pinned
		return l.Update(entry)
	case Clsact:
		dev, err := net.InterfaceByName(a.Device)
		if err != nil {
			return err
		}
		return replaceFilter(dev.Index, entry.FD())
	}
	return nil
}

// isEthernet refuses devices whose packets begin with no Ethernet header.
func isEthernet(device string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("asking for the kind of %s: %w", device, err)
	}
	defer unix.Close(s) //nolint:errcheck // only asked
	r, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCGIFHWADDR, r)
	}
	if err != nil {
		return fmt.Errorf("asking for the kind of %s: %w", device, err)
	}
	if kind := r.Uint16(); kind != unix.ARPHRD_ETHER && kind != unix.ARPHRD_LOOPBACK {
		return fmt.Errorf("what goes out of %s has no Ethernet header (its kind is %d), which the firewall reads: attach to the device below it", device, kind)
	}
	return nil
}
