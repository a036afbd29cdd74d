package process

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// watcher runs the real programs, scoped to this test's own process and its
// children, and keeps what they send.
type watcher struct {
	t         *testing.T
	transport *kernel.Transport
	sensor    *Sensor
	cancel    context.CancelFunc
	done      sync.WaitGroup

	mu      sync.Mutex
	records []event.TaskRecord
	streams *kernel.Streams
	holes   map[event.Type]uint64
	seen    map[event.Type]uint64 // per stream, pieces included
	bad     []error
	tap     kernel.Handler // gets the raw records too
}

type watchOptions struct {
	Options
	critical, bulk int
	// late holds the reader up until it is closed; nil not at all.
	late chan struct{}
}

func watch(t *testing.T, o watchOptions) *watcher {
	t.Helper()
	guest.NeedKernel(t)
	if o.critical == 0 {
		o.critical = kernel.DefaultCriticalSize
	}
	if o.bulk == 0 {
		o.bulk = kernel.DefaultBulkSize
	}
	tr, err := kernel.NewTransport(o.critical, o.bulk)
	if err != nil {
		t.Fatal(err)
	}
	if o.Scope == (kernel.Scope{}) {
		if o.Scope, err = kernel.PidScope(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(tr, o.Options)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	w := &watcher{t: t, transport: tr, sensor: s, streams: kernel.NewStreams(),
		holes: map[event.Type]uint64{}, seen: map[event.Type]uint64{}}
	if err := s.Attach(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.done.Go(func() {
		if o.late != nil {
			<-o.late
		}
		if err := tr.Read(ctx, w); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *watcher) stop() {
	if w.cancel == nil {
		return
	}
	if err := w.sensor.Detach(); err != nil {
		w.t.Error(err)
	}
	w.cancel()
	w.cancel = nil
	w.done.Wait()
	w.t.Cleanup(func() {
		w.sensor.Close()
		w.transport.Close()
	})
	for _, err := range w.bad {
		w.t.Error(err)
	}
}

// Record implements kernel.Handler.
func (w *watcher) Record(c event.Class, raw []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tap != nil {
		w.tap.Record(c, raw)
	}
	var rec event.TaskRecord
	ok, err := w.sensor.Decode(raw, &rec)
	if err != nil {
		w.bad = append(w.bad, err)
		return
	}
	w.seen[rec.StreamType]++
	w.holes[rec.StreamType] += w.streams.Seen(rec.CPU, rec.Stream, rec.Seq).N()
	if ok {
		w.records = append(w.records, rec)
	}
}

// Flush implements kernel.Handler.
func (w *watcher) Flush(int) {}

// find waits for the last record of a type that satisfies ok.
func (w *watcher) find(typ event.Type, what string, ok func(*event.TaskRecord) bool) event.TaskRecord {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		for i := len(w.records) - 1; i >= 0; i-- {
			if r := &w.records[i]; r.Type == typ && ok(r) {
				w.mu.Unlock()
				return *r
			}
		}
		w.mu.Unlock()
	}
	w.t.Fatalf("no %s record of %s came within a minute", typ, what)
	return event.TaskRecord{}
}

func (w *watcher) count(typ event.Type, ok func(*event.TaskRecord) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for i := range w.records {
		if r := &w.records[i]; r.Type == typ && ok(r) {
			n++
		}
	}
	return n
}

func byPid(pid int) func(*event.TaskRecord) bool {
	return func(r *event.TaskRecord) bool { return int(r.Key.Pid) == pid }
}

// run starts cmd, waits for its end and returns its last exec record.
func (w *watcher) run(cmd *exec.Cmd) event.TaskRecord {
	w.t.Helper()
	if err := cmd.Run(); err != nil {
		if _, isExit := err.(*exec.ExitError); !isExit {
			w.t.Fatalf("running %v: %v", cmd.Args[0], err)
		}
	}
	w.find(event.Exit, cmd.Path, byPid(cmd.Process.Pid))
	return w.find(event.Exec, cmd.Path, byPid(cmd.Process.Pid))
}

// tinyELF is a whole static program of 140 bytes that exits with a code.
func tinyELF(code byte) []byte {
	const base, headers = 0x400000, 64 + 56
	text := []byte{
		0xbf, code, 0, 0, 0, // mov $code, %edi
		0xb8, 231, 0, 0, 0, // mov $231, %eax (exit_group)
		0x0f, 0x05, // syscall
	}
	size := uint64(headers + len(text))
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	le := binary.LittleEndian
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // x86-64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers) // entry
	b = le.AppendUint64(b, 64)           // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // r-x
	for _, v := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(b, text...)
}

// tiny writes a tiny program to a path of its own and returns it.
func tiny(t *testing.T, name string, code byte) string {
	t.Helper()
	p := filepath.Join(tempDir(t), name)
	writeExe(t, p, tinyELF(code))
	return p
}

func writeExe(t *testing.T, p string, b []byte) {
	t.Helper()
	if err := os.WriteFile(p, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// tempDir is t.TempDir, resolved and open to every user.
func tempDir(t *testing.T) string {
	t.Helper()
	d, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p := d; p != "/tmp" && p != "/" && len(p) > 4; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			break
		}
	}
	return d
}
