package fileio

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// Call is one system call on a file, from its beginning to its end.
type Call struct {
	// ID counts from 1 in the order in which calls end.
	ID   uint64        `json:"id"`
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// Name is the call's, such as read; FD the descriptor that it was given or gives.
	Name string `json:"call"`
	FD   int32  `json:"fd"`
	// Path is from the root of the file's mount namespace; "" where it is not known.
	Path string `json:"path,omitempty"`
	// Kind is of the file system, such as ext4.
	Kind string `json:"kind,omitempty"`
	// Wanted is how many bytes were asked for, where the call has such a number.
	Wanted uint64 `json:"wanted,omitempty"`
	// Result is what it returned; Error names the number where that is below 0.
	Result int64  `json:"result"`
	Error  string `json:"error,omitempty"`
	Pid    uint32 `json:"pid"`
	Tid    uint32 `json:"tid"`
	Comm   string `json:"comm"`
	// Pages is how many the call added to the page cache, Requests how often it asked
	// for a piece of a disk itself.
	Pages    uint32 `json:"pages"`
	Requests uint32 `json:"requests"`
	// Cache is hit, miss, or direct where a disk was asked without pages; "" where
	// there is nothing to say.
	Cache string `json:"cache,omitempty"`
	// CopyUp is what an open for writing copied into the upper layer of an overlay; nil
	// for nothing.
	CopyUp *CopyUp `json:"copy_up,omitempty"`
	// Stages are named: call, pages, queued, issued, complete, asleep, woken, on cpu,
	// off cpu, done.
	Stages []waterfall.Stage `json:"stages"`
}

// names are the calls that are followed, by number.
var names = map[uint32]string{
	0: "read", 1: "write", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 78: "getdents", 217: "getdents64", 295: "preadv", 296: "pwritev", 327: "preadv2", 328: "pwritev2",
	74: "fsync", 75: "fdatasync", 77: "ftruncate", 277: "sync_file_range", 285: "fallocate", 2: "open", 85: "creat", 257: "openat", 437: "openat2",
}

func reads(name string) bool { return strings.Contains(name, "read") }

func opens(name string) bool { return strings.HasPrefix(name, "open") || name == "creat" }

// gatherer puts calls together from what the programs tell.
type gatherer struct {
	open   map[uint64][]progNote
	copies copies
	count  uint64
	origin time.Time // when the kernel's clock was 0
}

// pending is of how many calls notes are kept that have not ended.
const pending = 16384

// mostNotes is how many are kept of one call.
const mostNotes = 512

// take reads a record. A call is returned where it ends with it; ok is false for what
// the programs do not write.
func (g *gatherer) take(raw []byte) (call *Call, ok bool) {
	var e progEnded
	if kernel.Decode(raw, &e) {
		return g.end(&e), true
	}
	var up progCopied
	if kernel.Decode(raw, &up) {
		g.copies.take(&up)
		return nil, true
	}
	var n progNote
	if !kernel.Decode(raw, &n) {
		return nil, false
	}
	if len(g.open) >= pending {
		g.forget()
	}
	if len(g.open[n.Call]) < mostNotes {
		g.open[n.Call] = append(g.open[n.Call], n)
	}
	return nil, true
}

// forget drops the older half of the calls that have not ended: most are faster than
// asked for, and their end is not told.
func (g *gatherer) forget() {
	var begins []uint64
	for _, notes := range g.open {
		begins = append(begins, notes[0].At)
	}
	slices.Sort(begins)
	for id, notes := range g.open {
		if notes[0].At <= begins[len(begins)/2] {
			delete(g.open, id)
		}
	}
}

func (g *gatherer) end(e *progEnded) *Call {
	g.count++
	c := &Call{ID: g.count, At: g.origin.Add(time.Duration(e.Begun)), Took: time.Duration(e.Note.At - e.Begun), FD: e.Fd, Kind: kernel.Text(e.Kind[:]),
		Result: e.Result, Pid: e.Tgid, Tid: e.Tid, Comm: kernel.Text(e.Comm[:]), Pages: e.Pages, Requests: e.Requests}
	c.Name = cmp.Or(names[e.Nr], "call "+strconv.FormatUint(uint64(e.Nr), 10))
	c.Path = path(e.Path[:min(int(e.PathLength), len(e.Path))], e.PathFlags)
	if opens(c.Name) {
		c.FD = int32(e.Result)
	} else if e.Nr != 74 && e.Nr != 75 {
		c.Wanted = e.Wanted
	}
	if c.Result < 0 && c.Result > -4096 {
		c.Error = unix.ErrnoName(unix.Errno(-c.Result))
	}
	c.Cache, c.CopyUp = c.cache(), g.copies.end(e)
	notes := g.open[e.Note.Call]
	delete(g.open, e.Note.Call)
	slices.SortStableFunc(notes, func(a, b progNote) int { return cmp.Compare(a.At, b.At) })
	before := e.Begun
	add := func(at uint64, cpu uint32, name, source, detail string) {
		if at < e.Begun || at > e.Note.At {
			return // of a request that outlives its call
		}
		c.Stages = append(c.Stages, waterfall.Stage{Name: name, At: time.Duration(at - e.Begun), Took: time.Duration(at - before), CPU: cpu, Detail: detail, Source: source})
		before = at
	}
	add(e.Begun, e.Note.Cpu, "call", "sys_enter", c.asked())
	for _, n := range notes {
		name, source, detail := stage(&n)
		add(n.At, n.Cpu, name, source, detail)
	}
	add(e.Note.At, e.Note.Cpu, "done", "sys_exit", c.answer())
	return c
}

// path turns components, leaf first, round.
func path(b []byte, flags uint32) string {
	const cut, pseudo = 1, 2 // BC_PATH_CUT and BC_PATH_PSEUDO of record.h
	if len(b) == 0 {
		return ""
	}
	if flags&pseudo != 0 {
		return strings.TrimPrefix(string(b), "/")
	}
	parts := strings.Split(strings.TrimPrefix(string(b), "/"), "/")
	slices.Reverse(parts)
	begin := "/"
	if flags&cut != 0 {
		begin = ".../"
	}
	return begin + strings.Join(parts, "/")
}

// cache says whether the page cache had it.
func (c *Call) cache() string {
	switch {
	case c.Result <= 0 || !reads(c.Name) || slices.Contains([]string{"proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "debugfs", "tracefs", "securityfs", "bpf"}, c.Kind):
		return ""
	case c.Pages > 0:
		return "miss"
	case c.Requests > 0:
		return "direct"
	}
	return "hit"
}

func (c *Call) asked() string {
	switch {
	case opens(c.Name):
		return c.Name + "()"
	case c.Wanted > 0:
		return fmt.Sprintf("%s() fd %d, %d bytes", c.Name, c.FD, c.Wanted)
	}
	return fmt.Sprintf("%s() fd %d", c.Name, c.FD)
}

func (c *Call) answer() string {
	if c.Error != "" {
		return "= " + c.Error
	}
	return "= " + strconv.FormatInt(c.Result, 10)
}

func stage(n *progNote) (name, source, detail string) {
	disk := func() string {
		verb := "read"
		if n.Write != 0 {
			verb = "write"
		}
		return fmt.Sprintf("%s %d bytes of %s at sector %d", verb, n.A, kernel.Text(n.Name[:]), n.Sector)
	}
	other := fmt.Sprintf("%s[%d]", kernel.Text(n.Name[:]), n.A)
	switch progWhat(n.What) {
	case progWhatPAGES:
		return "pages", "mm_filemap_add_to_page_cache", fmt.Sprintf("%d pages are added to the page cache", n.A)
	case progWhatQUEUED:
		return "queued", "block_bio_queue", disk()
	case progWhatISSUED:
		return "issued", "block_rq_issue", disk()
	case progWhatCOMPLETE:
		return "complete", "block_rq_complete", disk()
	case progWhatASLEEP:
		return "asleep", "sched_switch", "it waits"
	case progWhatWOKEN:
		return "woken", "sched_waking", "while " + other + " has the processor"
	case progWhatON_CPU:
		return "on cpu", "sched_switch", "after " + other
	case progWhatOFF_CPU:
		return "off cpu", "sched_switch", other + " takes the processor"
	}
	return "?", "?", "a note of a kind that is not known"
}

// Title is one line that says which call it is.
func (c *Call) Title() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s", c.ID, c.Name)
	if c.FD >= 0 && (!opens(c.Name) || c.Result >= 0) {
		fmt.Fprintf(&b, " fd %d", c.FD)
	}
	if c.Path != "" {
		fmt.Fprintf(&b, " %s (%s)", c.Path, c.Kind)
	}
	fmt.Fprintf(&b, " %s  %s[%d]", c.answer(), c.Comm, c.Pid)
	return b.String()
}

// WriteText writes a call as a waterfall.
func (c *Call) WriteText(w io.Writer, clean func(string) string) error {
	var b strings.Builder
	b.WriteString(clean(c.Title()) + "\n")
	waterfall.Text(&b, c.Stages, clean)
	fmt.Fprintf(&b, "  %s: %s", waterfall.Micro(c.Took), c.verdict())
	if share := waterfall.Share(c.Stages, c.Took); share != "" && len(c.Stages) > 2 {
		fmt.Fprintf(&b, "; %s", share)
	}
	b.WriteByte('\n')
	if c.CopyUp != nil {
		b.WriteString("  " + clean(c.CopyUp.line(c)) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Call) verdict() string {
	io := fmt.Sprintf("%d block I/O", c.Requests)
	switch c.Cache {
	case "hit":
		return "page cache hit, " + io
	case "miss":
		return fmt.Sprintf("page cache miss, %d pages added, %s", c.Pages, io)
	case "direct":
		return "past the page cache, " + io
	}
	if c.Pages > 0 {
		return fmt.Sprintf("%d pages added to the page cache, %s", c.Pages, io)
	}
	return io
}
