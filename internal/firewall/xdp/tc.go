package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where the filter is for what goes out, on kernels without tcx. It has the first priority,
// so that no other filter lets a packet out before, and a handle of its own there.
const (
	clsactParent   = 0xfffffff1 // TC_H_CLSACT
	clsactHandle   = 0xffff0000
	egressParent   = 0xfffffff3    // TC_H_CLSACT with TC_H_MIN_EGRESS
	filterInfo     = 1<<16 | 0x300 // priority 1, ETH_P_ALL in the order of the network
	filterHandle   = 0xbca7
	filterName     = "bearcat_fw"
	actDirect      = 1 // TCA_BPF_FLAG_ACT_DIRECT: what the program returns is the verdict
	sizeOfTCHeader = 20
)

// The attributes of a filter that is a BPF program, from linux/pkt_cls.h.
const (
	tcaBPFFD    = 6
	tcaBPFName  = 7
	tcaBPFFlags = 8
)

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func text(s string) []byte   { return append([]byte(s), 0) }
func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
func isNone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}

// tc sends one request of traffic control and gives the answers.
func tc(kind, flags uint16, index int, handle, parent, info uint32, attributes []byte) ([]syscall.NetlinkMessage, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(s) //nolint:errcheck // a socket for one request
	size := unix.SizeofNlMsghdr + sizeOfTCHeader + len(attributes)
	b := number(uint32(size))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = append(b, make([]byte, 8)...) // sequence and port
	for _, v := range []uint32{unix.AF_UNSPEC, uint32(index), handle, parent, info} {
		b = append(b, number(v)...)
	}
	if err := unix.Sendto(s, append(b, attributes...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var out []syscall.NetlinkMessage
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(s, buffer, 0)
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(append([]byte{}, buffer[:n]...))
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return out, nil
			case unix.NLMSG_ERROR:
				if len(m.Data) < 4 {
					return nil, unix.EBADMSG
				}
				if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
					return nil, unix.Errno(-code)
				}
				return out, nil
			}
			out = append(out, m)
		}
	}
}

func filterAttributes(program int) []byte {
	options := attribute(tcaBPFFD, number(uint32(program)))
	options = append(options, attribute(tcaBPFName, text(filterName))...)
	options = append(options, attribute(tcaBPFFlags, number(actDirect))...)
	return append(attribute(unix.TCA_KIND, text("bpf")), attribute(unix.TCA_OPTIONS, options)...)
}

// addFilter makes a program the first filter of what goes out of a device.
func addFilter(index, program int) error {
	_, err := tc(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, clsactHandle, clsactParent, 0, attribute(unix.TCA_KIND, text("clsact")))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("adding the clsact discipline: %w: modprobe sch_ingress", err)
	}
	_, err = tc(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, filterHandle, egressParent, filterInfo, filterAttributes(program))
	switch {
	case errors.Is(err, unix.EEXIST):
		return errors.New("someone else's filter has the firewall's place: tc filter show dev DEV egress lists it")
	case err != nil:
		return fmt.Errorf("adding a filter: %w: modprobe cls_bpf; a filter of another kind may have priority 1, or an ingress discipline stand where clsact would: tc filter show dev DEV egress", err)
	}
	return nil
}

func replaceFilter(index, program int) error {
	_, err := tc(unix.RTM_NEWTFILTER, unix.NLM_F_REPLACE|unix.NLM_F_CREATE, index, filterHandle, egressParent, filterInfo, filterAttributes(program))
	return err
}

// removeFilter takes the filter away. The discipline stays, which others may use too.
func removeFilter(index int) error {
	_, err := tc(unix.RTM_DELTFILTER, 0, index, filterHandle, egressParent, filterInfo, attribute(unix.TCA_KIND, text("bpf")))
	return err
}

// hasFilter says whether the firewall's filter is at a device.
func hasFilter(index int) (bool, error) {
	messages, err := tc(unix.RTM_GETTFILTER, unix.NLM_F_DUMP, index, 0, egressParent, 0, nil)
	if isNone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listing filters: %w", err)
	}
	for _, m := range messages {
		if isOurs(m.Data) {
			return true, nil
		}
	}
	return false, nil
}

// isOurs looks for the handle and the name in the account of one filter.
func isOurs(b []byte) bool {
	if len(b) < sizeOfTCHeader || binary.NativeEndian.Uint32(b[8:]) != filterHandle {
		return false
	}
	ours := false
	attributes(b[sizeOfTCHeader:], func(kind uint16, value []byte) {
		if kind == unix.TCA_OPTIONS {
			attributes(value, func(kind uint16, value []byte) {
				ours = ours || kind == tcaBPFName && string(value) == filterName+"\x00"
			})
		}
	})
	return ours
}

// attributes goes through attributes of netlink, up to one that is broken.
func attributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}

// removeFilters takes away all filters that were added for the pins in dir.
func removeFilters(dir string) error {
	devices, err := os.ReadDir(filepath.Join(egressDir(dir), Clsact))
	if err != nil {
		return nil //nolint:nilerr // none was added
	}
	var errs []error
	for _, d := range devices {
		dev, err := net.InterfaceByName(d.Name())
		if err != nil {
			continue // gone, with its filters
		}
		there, err := hasFilter(dev.Index)
		if err == nil && there {
			err = removeFilter(dev.Index)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("taking the filter from what goes out of %s: %w", d.Name(), err))
		}
	}
	return errors.Join(errs...)
}
