package host

import (
	"encoding/binary"
	"iter"

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

// dumper is how dump is called; tests put refusals in its place.
type dumper func(protocol int, request uint16, body []byte, each func(typ uint16, data []byte)) error

// dump asks the kernel, over netlink of one protocol, for all objects of one kind, and
// calls each with every message of the answer. body is the request's fixed part, such
// as a tcmsg. The data is each's only while it runs.
func dump(protocol int, request uint16, body []byte, each func(typ uint16, data []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	native.PutUint32(msg, uint32(unix.SizeofNlMsghdr+len(body)))
	native.PutUint16(msg[4:], request)
	native.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	native.PutUint32(msg[8:], 1)
	if err := unix.Sendto(fd, append(msg, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		done, err := messages(buf[:n], each)
		if done || err != nil {
			return err
		}
	}
}

// messages goes through what one read of a netlink socket gave. done is true behind the
// answer's last message, which tells too whether the kernel gave up on the way.
func messages(b []byte, each func(typ uint16, data []byte)) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(native.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return true, unix.EBADMSG
		}
		typ, data := native.Uint16(b[4:]), b[unix.SizeofNlMsghdr:n]
		switch typ {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			if len(data) < 4 {
				return true, unix.EBADMSG
			}
			if code := -int32(native.Uint32(data)); code > 0 {
				return true, unix.Errno(code)
			}
			return true, nil
		}
		each(typ, data)
		b = b[min((n+3)&^3, len(b)):]
	}
	return false, nil
}
