package process

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// Device numbers of terminals, see Documentation/admin-guide/devices.txt.
const (
	ttyMajor    = 4
	ttyAuxMajor = 5
	ptsMajor    = 136
	ptsMajorEnd = 143
	serialMinor = 64
)

// pfKthread is PF_KTHREAD in the flags of /proc/PID/stat.
const pfKthread = 0x00200000

// procStat is what is used of /proc/PID/stat.
type procStat struct {
	comm            string
	ppid, pgid, sid uint32
	tty             event.Tty
	start           uint64 // in ns, a multiple of tick
	kthread         bool
	ended           bool // a zombie without living threads
}

// Positions of fields behind the name, from 0.
const (
	statState   = 0
	statPPid    = 1
	statPgid    = 2
	statSid     = 3
	statTty     = 4
	statFlags   = 6
	statThreads = 17
	statStart   = 19
)

var errStat = errors.New("its stat file is not of the known form")

// parseStat reads /proc/PID/stat. The name in it may hold anything, blanks and
// brackets too: it ends at the last bracket.
func parseStat(b []byte) (procStat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return procStat{}, errStat
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) <= statStart {
		return procStat{}, errStat
	}
	num := func(i int) uint64 {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0
		}
		return uint64(n) // negative only for sid and tty of nobody
	}
	ticks, err := strconv.ParseUint(f[statStart], 10, 64)
	if err != nil || ticks > ^uint64(0)/tick {
		return procStat{}, fmt.Errorf("%w: start %q", errStat, f[statStart])
	}
	return procStat{
		comm: string(b[open+1 : end]),
		ppid: uint32(num(statPPid)), pgid: uint32(num(statPgid)), sid: uint32(num(statSid)),
		tty:     ttyOf(uint32(num(statTty))),
		start:   ticks * tick,
		kthread: num(statFlags)&pfKthread != 0,
		ended:   (f[statState] == "Z" || f[statState] == "X") && num(statThreads) <= 1,
	}, nil
}

// ttyOf names a terminal by its device number as the kernel does.
func ttyOf(dev uint32) event.Tty {
	t := event.Tty{Dev: dev}
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	switch {
	case major == ttyMajor && minor < serialMinor:
		t.Name = "tty" + strconv.FormatUint(uint64(minor), 10)
	case major == ttyMajor:
		t.Name = "ttyS" + strconv.FormatUint(uint64(minor-serialMinor), 10)
	case major >= ptsMajor && major <= ptsMajorEnd:
		t.Name = "pts" + strconv.FormatUint(uint64((major-ptsMajor)<<8+minor), 10)
	}
	return t
}

// parseStatus reads credentials and the ids in the own pid namespace from
// /proc/PID/status; nested where that namespace is not the reader's.
func parseStatus(b []byte, rec *event.TaskRecord) (nested bool) {
	c := &rec.Cred
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		key, val, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		f := strings.Fields(string(val))
		switch string(key) {
		case "Uid":
			four(f, &c.UID, &c.EUID, &c.SUID, &c.FSUID)
		case "Gid":
			four(f, &c.GID, &c.EGID, &c.SGID, &c.FSGID)
		case "NSpid":
			nested = len(f) > 1
			last(f, &rec.NSPid)
		case "NSpgid":
			last(f, &rec.NSPgid)
		case "NSsid":
			last(f, &rec.NSSid)
		case "CapInh":
			hex(f, &c.Inheritable)
		case "CapPrm":
			hex(f, &c.Permitted)
		case "CapEff":
			hex(f, &c.Effective)
		case "CapBnd":
			hex(f, &c.Bounding)
		case "CapAmb":
			hex(f, &c.Ambient)
		case "NoNewPrivs":
			c.NoNewPrivs = len(f) == 1 && f[0] == "1"
		}
	}
	return nested
}

func four(f []string, to ...*uint32) {
	for i := range min(len(f), len(to)) {
		decimal(f[i], to[i])
	}
}

func last(f []string, to *uint32) {
	if len(f) > 0 {
		decimal(f[len(f)-1], to)
	}
}

func decimal(s string, to *uint32) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		*to = uint32(n)
	}
}

func hex(f []string, to *uint64) {
	if len(f) == 1 {
		if n, err := strconv.ParseUint(f[0], 16, 64); err == nil {
			*to = n
		}
	}
}

// parseCgroupFile reads the path from /proc/PID/cgroup: that of the unified
// hierarchy, or, where it has none or is at its root beside others, that of
// systemd's or the memory controller's.
func parseCgroupFile(b []byte) (path string, unified bool) {
	best := 0
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		parts := strings.SplitN(string(line), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		rank := 1
		switch {
		case parts[0] == "0" && parts[1] == "" && parts[2] != "/":
			rank = 5
		case parts[1] == "name=systemd":
			rank = 4
		case strings.Contains(parts[1], "memory"):
			rank = 3
		case parts[0] == "0" && parts[1] == "":
			rank = 2
		}
		if rank > best {
			best, path, unified = rank, parts[2], parts[0] == "0"
		}
	}
	return path, unified
}

// linkNumber reads N from a link such as "pid:[N]"; 0 where there is none.
func linkNumber(link string) uint64 {
	_, s, ok := strings.Cut(link, ":[")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// splitArgs splits arguments ended by NULs; bytes stay as they are.
func splitArgs(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// parseUptime reads the first number of /proc/uptime, "SECONDS.HUNDREDTHS".
func parseUptime(b []byte) uint64 {
	first, _, _ := strings.Cut(string(b), " ")
	secs, frac, _ := strings.Cut(strings.TrimSpace(first), ".")
	s, err := strconv.ParseUint(secs, 10, 32)
	if err != nil {
		return 0
	}
	h, err := strconv.ParseUint(frac, 10, 8)
	if err != nil || len(frac) != 2 {
		h = 0
	}
	return s*100*tick + h*tick
}
