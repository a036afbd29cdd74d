package call

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
)

// Where only relays are asked for, opens of FIFOs and of /dev/ptmx are seen, and
// no others.
func TestCallOpensOfRelays(t *testing.T) {
	w := observe(t)
	settings := w.sensor.coll.Maps["settings"]
	var set progBcSettings
	need(t, settings.Lookup(uint32(0), &set))
	all := set
	set.Open = uint32(OpenRelay)
	need(t, settings.Put(uint32(0), set))
	defer func() { need(t, settings.Put(uint32(0), all)) }()
	dir := newDir(t)
	need(t, unix.Mkfifo(dir+"/fifo", 0o600))
	others := []done{
		ok(t, closed(do("open", dir+"/file", unix.O_CREAT|unix.O_WRONLY, 0o600))),
		ok(t, closed(do("open", dir+"/file", unix.O_RDONLY))),
		ok(t, closed(do("open", "/dev/null", unix.O_RDWR))),
		do("open", dir+"/none", unix.O_RDONLY),
	}
	fifo := ok(t, closed(do("open", dir+"/fifo", unix.O_RDWR)))
	got := w.saw(t, fifo)
	expect(t, "kind", got.FD.Kind, event.StdioFifo)
	expect(t, "path", got.FD.File.Path, dir+"/fifo")
	if ptmx := closed(do("open", "/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY)); !ptmx.failed() {
		got := w.saw(t, ptmx)
		expect(t, "kind of /dev/ptmx", got.FD.Kind, event.StdioTty)
	}
	for _, d := range others {
		expect(t, d.Name+" is reported", w.count(event.Open, is(d)) > 0, false)
	}
}

// Where only what joins shells to sockets is asked for, dups onto descriptors
// above 2 are left out, and accepts of a process whose input is no pipe.
func TestCallDupsAndAcceptsForShells(t *testing.T) {
	w := observe(t)
	settings := w.sensor.coll.Maps["settings"]
	var set progBcSettings
	need(t, settings.Lookup(uint32(0), &set))
	all := set
	set.DupStdio, set.AcceptRelay = 1, 1
	need(t, settings.Put(uint32(0), set))
	defer func() { need(t, settings.Put(uint32(0), all)) }()
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(l)
	need(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	need(t, unix.Listen(l, 1))
	name, err := unix.Getsockname(l)
	need(t, err)
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	need(t, err)
	defer unix.Close(c)
	need(t, unix.Connect(c, name))
	var st unix.Stat_t
	need(t, unix.Fstat(0, &st))
	accepted := ok(t, closed(do("accept4", l, 0, 0, unix.SOCK_CLOEXEC)))
	high := ok(t, closed(do("dup", l)))
	low := ok(t, do("dup2", 2, 2))
	w.saw(t, low)
	expect(t, "a dup onto a high descriptor is reported", w.count(event.Dup, is(high)) > 0, false)
	expect(t, "the accept is reported", w.count(event.Accept, is(accepted)) > 0, st.Mode&unix.S_IFMT == unix.S_IFIFO)
}
