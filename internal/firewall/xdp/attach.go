package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Mode is where in the receive path the program runs.
type Mode string

// The modes. Auto takes native where the driver has it, and generic otherwise.
const (
	Auto    Mode = "auto"
	Native  Mode = "native"
	Generic Mode = "generic"
	// Offload would run it on the card. It is always refused: the one driver that runs
	// programs, nfp, has tables of the kinds hash and array for them and no others.
	Offload Mode = "offload"
)

// Attachment is the firewall at a device.
type Attachment struct {
	Device string `json:"device"`
	Mode   Mode   `json:"mode"`
	Why    string `json:"why,omitempty"` // what is to be said of the mode
	// Egress is how what goes out is seen: tcx, or clsact before Linux 6.6; empty where it
	// is not.
	Egress string `json:"egress,omitempty"`
}

// Attach puts the firewall in front of a device. It replaces nothing of others.
func (f *Firewall) Attach(device string, mode Mode) (Attachment, error) {
	a := Attachment{Device: device, Mode: mode}
	if mode == Offload {
		return a, fmt.Errorf("%s cannot be filtered by its card: no card takes a program with tries, tables that forget and a ring, as the firewall's is: native mode is the fastest there is", device)
	}
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return a, fmt.Errorf("there is no device %q: ip link lists them", device)
	}
	if _, err := os.Stat(f.linkPath(device)); err == nil {
		if at, err := f.attachment(device); err == nil && at != "" {
			if mode != Auto && mode != at {
				return a, fmt.Errorf("the firewall is at %s already, in %s mode: detach it first", device, at)
			}
			return Attachment{Device: device, Mode: at, Why: "was there already"}, nil
		}
		if err := os.Remove(f.linkPath(device)); err != nil { // the device came anew under its name
			return a, fmt.Errorf("removing what is left of an attachment: %w", err)
		}
	}
	if id, _, err := programAt(dev.Index); err != nil {
		return a, err
	} else if id != 0 {
		return a, fmt.Errorf("%s has a program of someone else: %s: take it off first", device, programName(id))
	}
	flags := map[Mode][]link.XDPAttachFlags{
		Auto: {link.XDPDriverMode, link.XDPGenericMode}, Native: {link.XDPDriverMode}, Generic: {link.XDPGenericMode},
	}[mode]
	if flags == nil {
		return a, fmt.Errorf("%q is none of auto, native, generic, offload", mode)
	}
	var l link.Link
	for _, flag := range flags {
		l, err = link.AttachXDP(link.XDPOptions{Program: f.objs.FwEntry, Interface: dev.Index, Flags: flag})
		a.Mode = Native
		if flag == link.XDPGenericMode {
			a.Mode = Generic
		}
		if err == nil {
			break
		}
		if mode == Auto && flag == link.XDPDriverMode {
			a.Why = fmt.Sprintf("the driver takes no program: %v", err)
		}
	}
	if err != nil {
		return a, fmt.Errorf("attaching to %s in %s mode: %w", device, a.Mode, err)
	}
	defer l.Close() //nolint:errcheck // pinned, or the caller's end is its end
	if f.dir == "" {
		return a, errors.New("a firewall that is not pinned cannot be attached")
	}
	if err := l.Pin(f.linkPath(device)); err != nil {
		return a, fmt.Errorf("pinning the attachment: %w", err)
	}
	return a, nil
}

func (f *Firewall) linkPath(device string) string { return filepath.Join(f.dir, "links", device) }

// Detach takes the firewall from a device, both from what comes in and from what goes out.
func (f *Firewall) Detach(device string) error {
	if how, err := f.egress(device); err != nil {
		return err
	} else if how != "" {
		if err := f.DetachEgress(device); err != nil {
			return err
		}
	}
	if err := os.Remove(f.linkPath(device)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the firewall is not at %q: bearcat fw status says where it is", device)
		}
		return fmt.Errorf("detaching from %s: %w", device, err)
	}
	return nil
}

// update makes the link of a device run this program: no frame is missed.
func (f *Firewall) update(device string) error {
	l, err := link.LoadPinnedLink(f.linkPath(device), nil)
	if err != nil {
		return fmt.Errorf("opening the attachment to %s: %w", device, err)
	}
	defer l.Close() //nolint:errcheck // pinned
	if err := l.Update(f.objs.FwEntry); err != nil {
		return fmt.Errorf("replacing the program at %s: %w", device, err)
	}
	return nil
}

// attachment gives the mode at a device, empty when the program there is not ours.
func (f *Firewall) attachment(device string) (Mode, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return "", fmt.Errorf("device %s: %w", device, err)
	}
	l, err := link.LoadPinnedLink(f.linkPath(device), nil)
	if err != nil {
		return "", fmt.Errorf("opening the attachment to %s: %w", device, err)
	}
	defer l.Close() //nolint:errcheck // pinned
	info, err := l.Info()
	if err != nil {
		return "", fmt.Errorf("asking for the attachment to %s: %w", device, err)
	}
	x := info.XDP()
	id, mode, err := programAt(dev.Index)
	if err != nil || x == nil || int(x.Ifindex) != dev.Index || id != uint32(info.Program) {
		return "", err
	}
	return mode, nil
}

// Attached lists where the firewall is. A device that is gone is left out.
func (f *Firewall) Attached() ([]Attachment, error) {
	dir, err := os.ReadDir(filepath.Join(f.dir, "links"))
	if err != nil {
		return nil, fmt.Errorf("listing attachments: %w", err)
	}
	var out []Attachment
	for _, d := range dir {
		mode, err := f.attachment(d.Name())
		if err == nil && mode != "" {
			how, err := f.egress(d.Name())
			if err != nil {
				return nil, err
			}
			out = append(out, Attachment{Device: d.Name(), Mode: mode, Egress: how})
		}
	}
	return out, nil
}

// Panic takes the firewall from every device and forgets all of it. It needs
// nothing but the pins, whatever version made them.
func Panic(dir string) error {
	err := removeFilters(dir) // what no pin holds
	if gone := os.RemoveAll(dir); gone != nil {
		err = errors.Join(err, fmt.Errorf("removing the firewall: %w", gone))
	}
	return err
}

// programAt asks which XDP program a device has; 0 means none.
func programAt(index int) (uint32, Mode, error) {
	rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return 0, "", fmt.Errorf("asking for devices: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return 0, "", fmt.Errorf("reading devices: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg || int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) != index {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return 0, "", fmt.Errorf("reading a device: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type&0x3fff == unix.IFLA_XDP {
				id, mode := readXDP(a.Value)
				return id, mode, nil
			}
		}
	}
	return 0, "", nil
}

// readXDP reads the attributes inside IFLA_XDP.
func readXDP(b []byte) (id uint32, mode Mode) {
	for len(b) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < 4 || size > len(b) {
			break
		}
		switch v := b[4:size]; {
		case kind == unix.IFLA_XDP_PROG_ID && len(v) >= 4:
			id = binary.NativeEndian.Uint32(v)
		case kind == unix.IFLA_XDP_ATTACHED && len(v) >= 1:
			mode = map[byte]Mode{1: Native, 2: Generic}[v[0]]
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return id, mode
}

func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return fmt.Sprintf("number %d", id)
	}
	defer p.Close() //nolint:errcheck // only looked at
	info, err := p.Info()
	if err != nil {
		return fmt.Sprintf("number %d", id)
	}
	return fmt.Sprintf("%s, number %d", bytes.TrimRight([]byte(info.Name), "\x00"), id)
}
