package scan

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/snapshot/host"
	"github.com/bearcat-hids/bearcat/internal/snapshot/task"
)

const hiddenSocketDo = "Take the host for taken over: what ss and netstat tell is not whole. Look at it with bearcat show socket, and at the kernel with bearcat show module and show hook."

// hiddenSockets compares descriptors of processes, sock_diag and /proc/net.
func hiddenSockets(h *Host) ([]Finding, error) {
	const most = 8 // processes to try, should some end meanwhile
	spaces := map[uint64][]int{}
	for _, p := range h.tasks.Processes() {
		if p.NS != nil && p.NS.Net != 0 && len(spaces[uint64(p.NS.Net)]) < most {
			spaces[uint64(p.NS.Net)] = append(spaces[uint64(p.NS.Net)], int(p.Pid))
		}
	}
	lists := host.CompareSockets(spaces)
	holders := map[uint64]*task.File{}
	files, _ := h.files() // without them a socket has no holder
	for i := range files {
		if f := &files[i]; f.FD.Sock != nil {
			holders[f.FD.Inode()] = f
		}
	}
	var out []Finding
	for _, d := range lists.Differences {
		f := Finding{
			What: fmt.Sprintf("a %s socket is hidden from %s: %s", d.Kind, d.Lacks, orNothing(d.Ends)), Sure: Certain, subject: strconv.FormatUint(d.Inode, 10), Do: hiddenSocketDo,
			Evidence: fmt.Sprintf("%s has socket %d in network namespace %d, and %s does not; held by ", d.Has, d.Inode, d.NetNS, d.Lacks),
		}
		if x := holders[d.Inode]; x != nil {
			f.Pid = x.Key.Pid
			f.Evidence += fmt.Sprintf("%s, descriptor %d", name(x.Proc), x.FD.Num)
		} else {
			f.Evidence += "nobody that can be seen"
		}
		out = append(out, f)
	}
	out = append(out, untold(holders, lists)...)
	if len(lists.Notes) > 0 {
		return out, errors.New(strings.Join(lists.Notes, "; "))
	}
	return out, nil
}

// untold are sockets that processes hold and that neither list has.
func untold(holders map[uint64]*task.File, lists *host.SocketLists) []Finding {
	var out []Finding
	for inode, x := range holders {
		if lists.Listed[inode] || !listedSocket(x) {
			continue
		}
		ns, err := stillOpen(x)
		if err != nil || !lists.Spaces[ns] {
			continue // closed meanwhile, or in a namespace whose lists nobody can read
		}
		s := x.FD.Sock
		out = append(out, Finding{
			What: fmt.Sprintf("%s has a hidden %s socket: port %d to %s port %d", name(x.Proc), s.Proto, s.LocalPort, orNothing(s.Remote), s.RemotePort), Sure: Certain, Pid: x.Key.Pid,
			Evidence: fmt.Sprintf("its descriptor %d is socket %d in network namespace %d, of which neither sock_diag nor /proc/net tells", x.FD.Num, inode, ns),
			subject:  strconv.FormatUint(inode, 10), Do: hiddenSocketDo,
		})
	}
	return out
}

// listedSocket tells whether the kernel lists sockets such as this.
func listedSocket(f *task.File) bool {
	s := f.FD.Sock
	if s.Family != "ipv4" && s.Family != "ipv6" || s.LocalPort == 0 {
		return false
	}
	return s.Proto == "udp" || s.Proto == "tcp" && (s.State == "listen" || s.State == "established")
}

// stillOpen asks for a socket through a copy of the descriptor: that it is the same, is
// in the same state, and in which network namespace, which may be none of its process's.
func stillOpen(f *task.File) (ns uint64, err error) {
	pidfd, err := unix.PidfdOpen(int(f.Key.Pid), 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd) //nolint:errcheck // only a handle
	fd, err := unix.PidfdGetfd(pidfd, int(f.FD.Num), 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd) //nolint:errcheck // a copy, from which nothing was read
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if st.Ino != f.FD.Inode() {
		return 0, os.ErrClosed
	}
	if f.FD.Sock.Proto == "tcp" {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		const established, listen = 1, 10
		if info.State != established && info.State != listen {
			return 0, os.ErrClosed
		}
	}
	const siocgskns = 0x894c
	n, err := unix.IoctlRetInt(fd, siocgskns)
	if err != nil {
		return 0, err
	}
	defer unix.Close(n) //nolint:errcheck // only a handle
	if err := unix.Fstat(n, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}
