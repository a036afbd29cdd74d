package process

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// Kinds of records (enum bc_kind) and flags, as in record.h.
const (
	kindExec  = 1
	kindFork  = 2
	kindExit  = 3
	kindComm  = 4
	kindChunk = 5
	kindTask  = 6

	execAt         = 1
	execSecure     = 2
	execChunked    = 4
	execUnreadable = 8
)

const (
	sISUID = 0o4000
	sISGID = 0o2000
	sIXGRP = 0o010
)

// A decoder turns the bytes of records into event.TaskRecords. It trusts
// nothing in them: lengths are checked against the bytes there are, and what
// does not fit is refused and counted.
type decoder struct {
	env      *envCache
	exec     progBcExec
	strings  sensor.Strings
	pending  map[uint16]*pending
	refused  *atomic.Uint64
	orphaned *atomic.Uint64
}

// pending collects the pieces of argv and environment that come before their
// exec record on the same CPU.
type pending struct {
	key        event.Key
	argv, env  []byte
	unreadable bool
	broken     [2]bool // a piece is missing: what follows it is not usable
}

func newDecoder(env func([]byte) []string) decoder {
	if env == nil {
		env = func([]byte) []string { return nil }
	}
	return decoder{
		env: &envCache{pick: env, seen: map[string][]string{}}, pending: map[uint16]*pending{}, strings: sensor.NewStrings(),
		refused: new(atomic.Uint64), orphaned: new(atomic.Uint64),
	}
}

// Refused counts records that were not understood, Orphaned pieces of argv
// whose exec record never came.
func (d *decoder) Refused() uint64  { return d.refused.Load() }
func (d *decoder) Orphaned() uint64 { return d.orphaned.Load() }

// Kinds returns the kinds of records that Decode takes.
func (d *decoder) Kinds() []uint8 { return []uint8{kindExec, kindFork, kindExit, kindComm, kindChunk} }

// Decode turns one record of a ring into rec.
func (d *decoder) Decode(raw []byte, rec *event.TaskRecord) (bool, error) {
	ok, err := d.decode(raw, rec)
	if err != nil {
		d.refused.Add(1)
	}
	return ok, err
}

func (d *decoder) decode(raw []byte, rec *event.TaskRecord) (bool, error) {
	var h struct {
		boot, seq uint64
		tid       uint32
		cpu       uint16
		kind      uint8
		stream    uint8
	}
	if !sensor.Fixed(raw, &h) {
		return false, fmt.Errorf("decoding a process record: %d bytes are too few for its header", len(raw))
	}
	typ, class := StreamType(h.stream)
	*rec = event.TaskRecord{Boot: h.boot, Seq: h.seq, CPU: h.cpu, Class: class, Tid: h.tid, Stream: h.stream, StreamType: typ}
	switch h.kind {
	case kindExec:
		rec.Type = event.Exec
		return true, d.decodeExec(raw, rec)
	case kindFork:
		rec.Type = event.Fork
		return true, decodeFork(raw, rec)
	case kindExit:
		rec.Type = event.Exit
		return true, decodeExit(raw, rec)
	case kindComm:
		rec.Type = event.Comm
		return true, decodeComm(raw, rec)
	case kindChunk:
		return false, d.decodeChunk(raw)
	}
	return false, fmt.Errorf("decoding a process record: kind %d is unknown", h.kind)
}

func tooShort(what string, n int) error {
	return fmt.Errorf("decoding a process record: %d bytes are too few for %s", n, what)
}

func decodeFork(raw []byte, rec *event.TaskRecord) error {
	var f progBcFork
	if !sensor.Fixed(raw, &f) {
		return tooShort("a fork", len(raw))
	}
	t := f.Task
	rec.Key = event.Key{Pid: t.Key.Pid, Start: t.Key.Start}
	rec.Parent = event.Key{Pid: t.Parent.Pid, Start: t.Parent.Start}
	rec.Creator = event.Key{Pid: f.Creator.Pid, Start: f.Creator.Start}
	rec.PPid, rec.NSPid, rec.NSPPid = t.Ppid, t.NsPid, t.NsPpid
	rec.Sid, rec.Pgid, rec.NSSid, rec.NSPgid = t.Sid, t.Pgid, t.NsSid, t.NsPgid
	rec.Comm = cString(t.Comm[:])
	rec.KThread = t.Kthread != 0
	rec.CgroupID = f.CgroupId
	return nil
}

func decodeExit(raw []byte, rec *event.TaskRecord) error {
	var x progBcExit
	if !sensor.Fixed(raw, &x) {
		return tooShort("an exit", len(raw))
	}
	rec.Key = event.Key{Pid: x.Key.Pid, Start: x.Key.Start}
	rec.Parent = event.Key{Pid: x.Parent.Pid, Start: x.Parent.Start}
	rec.PPid = x.Ppid
	rec.Comm = cString(x.Comm[:])
	rec.Exit = exitInfo(&x)
	return nil
}

func decodeComm(raw []byte, rec *event.TaskRecord) error {
	var c progBcComm
	if !sensor.Fixed(raw, &c) {
		return tooShort("a change of name", len(raw))
	}
	rec.Key = event.Key{Pid: c.Key.Pid, Start: c.Key.Start}
	rec.OldComm, rec.Comm = cString(c.OldComm[:]), cString(c.NewComm[:])
	return nil
}

// decodeChunk keeps a piece of argv or environment for the exec record that
// follows on the same CPU.
func (d *decoder) decodeChunk(raw []byte) error {
	var c progBcChunk
	if !sensor.Fixed(raw, &c) {
		return tooShort("a piece of argv", len(raw))
	}
	data := raw[unsafe.Sizeof(c):]
	if uint64(c.Len) > uint64(len(data)) || c.Env > 1 {
		return tooShort("the piece of argv it announces", len(raw))
	}
	data = data[:c.Len]
	key := event.Key{Pid: c.Key.Pid, Start: c.Key.Start}
	p := d.pending[c.Hdr.Cpu]
	if p == nil || p.key != key || c.Env == 0 && c.Off == 0 {
		if p != nil {
			d.orphaned.Add(1)
		}
		p = &pending{key: key}
		d.pending[c.Hdr.Cpu] = p
	}
	block := &p.argv
	if c.Env == 1 {
		block = &p.env
	}
	p.unreadable = p.unreadable || c.Unreadable > 0
	if int(c.Off) != len(*block) || len(*block)+len(data) > MaxArgLimit {
		p.broken[c.Env] = true
	}
	if !p.broken[c.Env] {
		*block = append(*block, data...)
	}
	return nil
}

// take returns the pieces collected for an exec, and forgets them.
func (d *decoder) take(cpu uint16, key event.Key) *pending {
	p := d.pending[cpu]
	if p == nil {
		return nil
	}
	delete(d.pending, cpu)
	if p.key != key {
		d.orphaned.Add(1)
		return nil
	}
	return p
}

// cString is a NUL-terminated field as a string.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// splitArgs cuts a block of NUL-terminated strings. The strings share one
// copy of the block.
func splitArgs(block []byte) []string {
	if len(block) == 0 {
		return nil
	}
	all := string(block)
	n := strings.Count(all, "\x00")
	terminated := all[len(all)-1] == 0
	if !terminated {
		n++
	}
	out := make([]string, 0, n)
	for len(all) > 0 {
		one, rest, _ := strings.Cut(all, "\x00")
		out = append(out, one)
		all = rest
	}
	return out
}

// Decoder decodes the sensor's records without a sensor: what a ring held once
// and a file keeps, for tests of what comes behind it.
type Decoder struct{ decoder }

// NewDecoder returns a decoder; env chooses the environment to keep, nil for
// none.
func NewDecoder(env func(block []byte) []string) *Decoder { return &Decoder{newDecoder(env)} }

// envCache remembers what was picked of an environment: processes that one
// shell or service starts mostly have the same.
type envCache struct {
	pick  func([]byte) []string
	seen  map[string][]string
	bytes int
}

// Blocks longer than envCacheBlock are picked from each time; the cache starts
// anew when its blocks have envCacheBytes.
const (
	envCacheBlock = 8 << 10
	envCacheBytes = 512 << 10
)

func (c *envCache) get(block []byte) []string {
	if len(block) == 0 {
		return nil
	}
	if v, ok := c.seen[string(block)]; ok {
		return v
	}
	v := c.pick(block)
	if len(block) > envCacheBlock {
		return v
	}
	if c.bytes += len(block); c.bytes > envCacheBytes {
		clear(c.seen)
		c.bytes = len(block)
	}
	c.seen[string(block)] = v
	return v
}
