package host

import (
	"encoding/binary"
	"iter"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// native is the byte order of the processors that Bearcat runs on.
var native = binary.LittleEndian

// attributes goes through netlink attributes and stops at the first that is cut
// short.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	const header, nested = 4, 0x8000
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= header {
			n := int(native.Uint16(b))
			if n < header || n > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&^nested, b[header:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// dump asks the kernel's routing socket for all objects of one kind. body is the
// request's fixed part, such as a tcmsg.
func dump(request uint16, body []byte) ([]syscall.NetlinkMessage, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	native.PutUint32(msg, uint32(unix.SizeofNlMsghdr+len(body)))
	native.PutUint16(msg[4:], request)
	native.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	native.PutUint32(msg[8:], 1)
	if err := unix.Sendto(fd, append(msg, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var out []syscall.NetlinkMessage
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		msgs, err := syscall.ParseNetlinkMessage(slices.Clone(buf[:n]))
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return out, nil
			case unix.NLMSG_ERROR:
				if len(m.Data) < 4 {
					return nil, unix.EBADMSG
				}
				return nil, unix.Errno(-int32(native.Uint32(m.Data)))
			}
			out = append(out, m)
		}
	}
}
