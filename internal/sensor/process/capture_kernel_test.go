package process

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
	"github.com/cilium/ebpf/link"
)

// capturing keeps the raw bytes of records beside what they decode to.
type capturing struct {
	*watcher
	mu  sync.Mutex
	raw [][]byte
}

func (c *capturing) Record(class event.Class, raw []byte) {
	c.mu.Lock()
	c.raw = append(c.raw, bytes.Clone(raw))
	c.mu.Unlock()
}

// TestCapture checks that what the kernel writes today has the layout of the
// records in testdata. With BEARCAT_CAPTURE set it writes them anew.
func TestCapture(t *testing.T) {
	w := watch(t, watchOptions{})
	exe := tiny(t, "exe", 7)
	cmd := exec.Command(exe)
	cmd.Dir = "/"
	cmd.Args = []string{"captured", "a b", "\xff"}
	cmd.Env = []string{"LD_PRELOAD=/tmp/x.so", "HOME=/"}
	keep := &capturing{watcher: w}
	w.tap = keep
	w.run(cmd)
	pid := cmd.Process.Pid
	big := exec.Command(exe)
	big.Dir = "/"
	big.Args = []string{"captured", strings.Repeat("x", 40000)}
	big.Env = []string{"HOME=/"}
	w.run(big)
	if err := self("rename").Run(); err != nil {
		t.Fatal(err)
	}
	w.find(event.Comm, "the renamed", func(*event.TaskRecord) bool { return true })
	w.stop()

	got := map[string][]byte{}
	d := newDecoder(nil)
	chunks := 0
	for _, raw := range keep.raw {
		var rec event.TaskRecord
		ok, err := d.Decode(raw, &rec)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !ok:
			chunks++
			got["chunk"+string(rune('0'+chunks))] = raw
		case rec.Type == event.Exec && int(rec.Key.Pid) == big.Process.Pid:
			got["chunkexec"] = raw
		case rec.Type == event.Comm:
			got["comm"] = raw
		case int(rec.Key.Pid) == pid:
			got[rec.Type.String()] = raw
		}
	}
	got["task"] = oneTask(t, w.sensor)
	if os.Getenv("BEARCAT_CAPTURE") != "" {
		for name, raw := range got {
			check(t, os.WriteFile(filepath.Join("testdata", name+".bin"), raw, 0o644))
		}
	}
	for name, old := range captured(t) {
		if got[name] == nil {
			t.Errorf("no %s record came", name)
		} else if kind := got[name][22]; kind != old[22] {
			t.Errorf("the %s record is of kind %d, in testdata it is %d", name, kind, old[22])
		}
	}
}

// oneTask is the iterator's record of a kernel thread, the same on every host.
func oneTask(t *testing.T, s *Sensor) []byte {
	t.Helper()
	it, err := link.AttachIter(link.IterOptions{Program: s.coll.Programs[iterProg]})
	check(t, err)
	defer it.Close()
	rd, err := it.Open()
	check(t, err)
	defer rd.Close()
	raw, err := io.ReadAll(rd)
	check(t, err)
	d := newDecoder(nil)
	var first []byte
	rest := raw
	for len(rest) > 0 && first == nil {
		var e progBcExec
		if !sensor.Fixed(rest, &e) {
			t.Fatal("the inventory ends in the middle of a record")
		}
		n := int(unsafe.Sizeof(e)) + int(e.ExePath.Len+e.Cwd.Len+e.CgroupLen)
		for _, fd := range e.Fd {
			n += int(fd.Path.Len) + int(fd.Sock.Llen) + int(fd.Sock.Rlen)
		}
		if e.Task.Key.Pid == 2 {
			first = rest[:n]
		}
		rest = rest[n:]
	}
	check(t, d.inventory(first, func(*event.TaskRecord) {}))
	return first
}
