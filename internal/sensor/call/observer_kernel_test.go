package call

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// A feed runs the real programs, scoped to this test binary's own process and
// to the children that it adds, and keeps what they send. One with all types
// serves most tests: in an emulated guest the programs take seconds to load.
type feed struct {
	transport *kernel.Transport
	sensor    *Sensor
	cancel    context.CancelFunc
	done      sync.WaitGroup
	dnsPort   uint16

	mu       sync.Mutex
	records  []event.TaskRecord
	streams  *kernel.Streams
	received uint64
	holes    uint64
	bad      []error
	tap      func(raw []byte)
}

// observer is a test's view of a feed, from the moment it was made.
type observer struct {
	*feed
	t    *testing.T
	from int
}

// sharedFeed is the feed of most tests and what went wrong with it.
type sharedFeed struct {
	once sync.Once
	feed *feed
	err  error
}

var shared sharedFeed

// endShared ends the shared feed and reports what is wrong with it.
func endShared() error {
	if shared.feed == nil {
		return shared.err
	}
	return errors.Join(shared.feed.stop(), shared.feed.close())
}

// observe begins to look at the test's own calls, and at its children's.
func observe(t *testing.T) *observer {
	t.Helper()
	guest.NeedKernel(t)
	shared.once.Do(func() {
		var all event.TypeSet
		for typ := event.Open; typ < event.NumTypes; typ++ {
			all.Add(event.TypesOf(typ))
		}
		port, err := dnsServer()
		if err == nil {
			shared.feed, err = newFeed(kernel.DefaultBulkSize, Options{Types: all, DNSPorts: []uint16{port}})
		}
		if shared.err = err; err == nil {
			shared.feed.dnsPort = port
		}
	})
	need(t, shared.err)
	shared.feed.mu.Lock()
	defer shared.feed.mu.Unlock()
	return &observer{feed: shared.feed, t: t, from: len(shared.feed.records)}
}

func newFeed(bulk int, o Options) (*feed, error) {
	tr, err := kernel.NewTransport(kernel.DefaultCriticalSize, bulk)
	if err != nil {
		return nil, err
	}
	o.OwnCalls = true
	if o.Scope, err = kernel.PidScope(os.Getpid()); err != nil {
		return nil, err
	}
	s, err := New(tr, o)
	if err != nil {
		return nil, err
	}
	f := &feed{transport: tr, sensor: s, streams: kernel.NewStreams()}
	if err := errors.Join(s.ScopeAdd(uint32(os.Getpid())), s.Attach()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.done.Go(func() {
		if err := tr.Read(ctx, f); err != nil {
			f.bad = append(f.bad, err)
		}
	})
	return f, nil
}

// stop detaches, reads what is left, and compares what the kernel made with
// what came.
func (f *feed) stop() error {
	if f.cancel == nil {
		return nil
	}
	err := f.sensor.Detach()
	f.cancel()
	f.cancel = nil
	f.done.Wait()
	counts, countErr := f.sensor.Streams()
	produced := uint64(0)
	for _, c := range counts {
		produced += c.Produced
		f.holes += f.streams.End(c.CPU, c.Stream, c.Produced).N()
	}
	errs := append([]error{err, countErr}, f.bad[:min(len(f.bad), 10)]...)
	if produced != f.received+f.holes {
		errs = append(errs, fmt.Errorf("%d records were made, %d came and %d are missing", produced, f.received, f.holes))
	}
	if n := f.sensor.Refused(); n != 0 {
		errs = append(errs, fmt.Errorf("%d records were refused", n))
	}
	return errors.Join(errs...)
}

func (f *feed) close() error {
	err := f.sensor.Close()
	f.transport.Close()
	return err
}

// Record implements kernel.Handler.
func (f *feed) Record(_ event.Class, raw []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tap != nil {
		f.tap(bytes.Clone(raw))
	}
	f.received++
	var rec event.TaskRecord
	ok, err := f.sensor.Decode(raw, &rec)
	if err != nil {
		f.bad = append(f.bad, err)
	}
	f.holes += f.streams.Seen(rec.CPU, rec.Stream, rec.Seq).N()
	if ok && err == nil {
		f.records = append(f.records, rec)
	}
}

// setTap hands the raw records on, too; nil ends that.
func (f *feed) setTap(tap func(raw []byte)) {
	f.mu.Lock()
	f.tap = tap
	f.mu.Unlock()
}

// Flush implements kernel.Handler.
func (f *feed) Flush(int) {}

// find waits for the last record of a type that satisfies ok.
func (w *observer) find(typ event.Type, what string, ok func(*event.TaskRecord) bool) event.TaskRecord {
	w.t.Helper()
	if r := w.wait(typ, ok); r != nil {
		return *r
	}
	w.t.Fatalf("no %s record of %s came within 10 s", typ, what)
	return event.TaskRecord{}
}

func (w *observer) wait(typ event.Type, ok func(*event.TaskRecord) bool) *event.TaskRecord {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		w.mu.Lock()
		for i := len(w.records) - 1; i >= w.from; i-- {
			if r := w.records[i]; r.Type == typ && ok(&r) {
				w.mu.Unlock()
				return &r
			}
		}
		w.mu.Unlock()
	}
	return nil
}

func (w *observer) count(typ event.Type, ok func(*event.TaskRecord) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for i := w.from; i < len(w.records); i++ {
		if r := &w.records[i]; r.Type == typ && ok(r) {
			n++
		}
	}
	return n
}

// child is a copy of the test binary that waits in a mode until it is in the
// scope, and then tells the calls that it makes.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	t     *testing.T
}

func (w *observer) start(t *testing.T, mode string, args ...string) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{"BEARCAT_CHILD=" + mode}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	need(t, err)
	out, err := cmd.StdoutPipe()
	need(t, err)
	need(t, cmd.Start())
	need(t, w.sensor.ScopeAdd(uint32(cmd.Process.Pid)))
	_, err = in.Write([]byte("go\n"))
	need(t, err)
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &child{cmd: cmd, lines: bufio.NewScanner(out), t: t}
}

// calls waits for the child's end and returns what it did.
func (c *child) calls() []done {
	c.t.Helper()
	var all []done
	c.lines.Buffer(nil, 1<<20)
	for c.lines.Scan() {
		var d done
		need(c.t, json.Unmarshal(c.lines.Bytes(), &d))
		all = append(all, d)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the child ended with %v", err)
	}
	return all
}

// ok checks that a call did not fail, where the test needs that.
func ok(t *testing.T, d done) done {
	t.Helper()
	if d.errno() == unix.ENOSYS {
		t.Skipf("this kernel has no %s", d.Name)
	}
	if d.failed() {
		t.Fatalf("%s(%v): %v", d.Name, d.Strs, d.errno())
	}
	return d
}

func need(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

// tempDir is t.TempDir, resolved and open to every user.
func newDir(t *testing.T) string {
	t.Helper()
	d, err := filepath.EvalSymlinks(t.TempDir())
	need(t, err)
	for p := d; p != "/tmp" && p != "/" && len(p) > 4; p = filepath.Dir(p) {
		if os.Chmod(p, 0o755) != nil {
			break
		}
	}
	return d
}
