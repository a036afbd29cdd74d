package fileio

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// CopyUp is what an open for writing has copied from a lower layer of an overlay into the
// upper one.
type CopyUp struct {
	// Bytes is how long the copy was when the open ended: 0 where the open cuts the
	// file to nothing.
	Bytes uint64 `json:"bytes"`
	// Upper is the folder of the upper layer, as the overlay was mounted; Lower that of
	// the layer which had the file, and Layer its number, 1 for the uppermost.
	Upper string `json:"upper"`
	Lower string `json:"lower,omitempty"`
	Layer uint32 `json:"layer"`
}

// copies keeps what the programs tell of copies until the calls that they belong to end.
type copies struct {
	open map[uint64]*progCopied
	// told are those that were shown: a file has one birth, and is copied once.
	told map[born]bool
	// slack is by how much a file may seem older than it is: file systems date files by
	// a clock that goes on with each tick, and late where a processor is not there.
	slack time.Duration
}

// born is a file of an upper layer, by its place and when it was made.
type born struct {
	device       uint32
	inode, birth uint64
}

// mostCopies are kept of both kinds.
const mostCopies = 4096

func newCopies() copies {
	c := copies{open: map[uint64]*progCopied{}, told: map[born]bool{}, slack: 100 * time.Millisecond}
	var tick unix.Timespec
	if unix.ClockGetres(unix.CLOCK_REALTIME_COARSE, &tick) == nil && tick.Nano() > 0 {
		c.slack = 10 * time.Duration(tick.Nano())
	}
	return c
}

func (c *copies) take(n *progCopied) {
	if len(c.open) >= mostCopies { // calls whose ends were lost
		clear(c.open)
	}
	c.open[n.Note.Call] = n
}

// end says what a call has copied, nil for nothing. A file that was in the upper layer
// before the call is older than it, or has been written to since it was made.
func (c *copies) end(e *progEnded) *CopyUp {
	n := c.open[e.Note.Call]
	if n == nil {
		return nil
	}
	delete(c.open, e.Note.Call)
	zero := time.Now().Add(-time.Duration(kernel.MonotonicNow())) // clocks are set now and then
	birth := time.Unix(0, int64(n.Birth))
	if birth.Before(zero.Add(time.Duration(e.Begun)-c.slack)) || birth.After(zero.Add(time.Duration(e.Note.At)+c.slack)) || n.Bytes > 0 && n.Mtime > n.Birth {
		return nil
	}
	file := born{n.Device, n.Inode, n.Birth}
	if c.told[file] { // by a call of a moment before
		return nil
	}
	if len(c.told) >= mostCopies {
		clear(c.told)
	}
	c.told[file] = true
	up := &CopyUp{Bytes: n.Bytes, Upper: kernel.Text(n.Upper[:]), Lower: kernel.Text(n.Lower[:]), Layer: n.Layer}
	if n.Listed == 0 {
		up.Lower = layerAt(up.Lower, int(n.Layer))
	}
	return up
}

// layerAt takes one of the lower layers from the mount's option, where a backslash is
// before a colon that is part of a name; "" where it was cut off.
func layerAt(all string, number int) string {
	var part []byte
	for i := 0; i < len(all); i++ {
		switch {
		case all[i] == '\\' && i+1 < len(all):
			i++
			part = append(part, all[i])
		case all[i] == ':':
			if number--; number == 0 {
				return string(part)
			}
			part = part[:0]
		default:
			part = append(part, all[i])
		}
	}
	if number != 1 || len(all) >= len(progCopied{}.Lower)-1 {
		return ""
	}
	return string(part)
}

// line is what a person reads of it.
func (u *CopyUp) line(c *Call) string {
	from := fmt.Sprintf("lower layer %d", u.Layer)
	if u.Lower != "" {
		from += " (" + u.Lower + ")"
	}
	return fmt.Sprintf("copy-up: %d bytes of %s by %s[%d], from %s to %s", u.Bytes, c.Path, c.Comm, c.Pid, from, u.Upper)
}

// overlayNote says why copies into upper layers are not told, "" where they are, or where
// the kernel knows of no overlays.
func overlayNote(types *btf.Cache) string {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !slices.Contains(strings.Fields(string(known)), "overlay") {
		return ""
	}
	modules, _ := types.Modules()
	var st *btf.Struct
	if all, err := types.Kernel(); err == nil && all.TypeByName("ovl_inode", &st) == nil {
		return ""
	}
	if slices.Contains(modules, "overlay") {
		return ""
	}
	return "files that are copied into overlays are not told: this kernel has no types of overlay (as a module, it has them from 5.11 on)"
}
