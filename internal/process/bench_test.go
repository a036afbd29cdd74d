package process

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// realistic returns an exec record as a sensor would make it: every string
// has bytes of its own.
func realistic(i int, key, parent event.Key) *event.TaskRecord {
	path := fmt.Sprintf("/usr/lib/some-package/bin/program-%03d", i%500)
	argv := []string{
		strings.Clone(path), "--config", fmt.Sprintf("/etc/program/conf.d/%d.conf", i), "--verbose",
		fmt.Sprintf("--listen=10.0.0.1:%d", i%60000), fmt.Sprintf("--id=%d", i),
	}
	env := []string{
		strings.Clone("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), fmt.Sprintf("HOME=/home/user%d", i%20),
		fmt.Sprintf("USER=user%d", i%20), fmt.Sprintf("LOGNAME=user%d", i%20), strings.Clone("SHELL=/bin/bash"),
		strings.Clone("TERM=xterm-256color"), fmt.Sprintf("SSH_CONNECTION=192.0.2.%d %d 192.0.2.1 22", i%200, 30000+i%1000),
		fmt.Sprintf("PWD=/srv/data/%d", i%1000),
	}
	img := &event.Image{
		Exe:      event.File{Path: path, Dev: 8 << 32, Inode: uint64(i % 500), Nlink: 1, Mode: 0o100755},
		Filename: strings.Clone(path), Argv: argv, Argc: len(argv), Env: env, Cwd: fmt.Sprintf("/srv/data/%d", i%1000),
	}
	for j := range img.Stdio {
		img.Stdio[j] = event.Stdio{Kind: event.StdioPty, Inode: 5, Path: fmt.Sprintf("/dev/pts/%d", i%30)}
	}
	return &event.TaskRecord{
		Type: event.Exec, Boot: key.Start + 10, Key: key, Tid: key.Pid, Parent: parent, PPid: parent.Pid,
		NSPid: key.Pid, Sid: 1, Pgid: key.Pid, Comm: fmt.Sprintf("program-%03d", i%500), Image: img.Seal(),
		Cred: event.Cred{UID: uint32(1000 + i%20), LoginUID: 1000}, Tty: event.Tty{Name: fmt.Sprintf("pts%d", i%30), Dev: 34816},
		CgroupID: uint64(i % 50), CgroupPath: fmt.Sprintf("/system.slice/docker-%064x.scope", i%50),
		NS: event.Namespaces{Pid: uint32(i % 50), Mnt: 2, Net: 3, Uts: 4, User: 5, Cgroup: 6, IPC: 7}, Node: fmt.Sprintf("node-%d", i%50),
	}
}

// TestMemory fills the table with 100,000 living processes.
func TestMemory(t *testing.T) {
	const (
		n     = 100_000
		limit = 150 << 20
	)
	before := heap()
	tab := testTable(Config{MaxProcesses: n + 1})
	root := k(1, 0)
	var ev event.Event
	tab.Apply(realistic(0, root, event.Key{}), &ev)
	for i := range n - 1 {
		key := k(uint32(i+2), uint64(i+1))
		fork := forkRec(key, root, key.Start)
		if !tab.Apply(fork, &ev) || !tab.Apply(realistic(i, key, root), &ev) {
			t.Fatalf("process %d was refused", i)
		}
	}
	ev = event.Event{}
	used := heap() - before
	st := tab.Stats()
	t.Logf("%d processes: %.1f MiB of heap, %d bytes each; estimated %.1f MiB", st.Live, float64(used)/(1<<20), used/n, float64(st.Bytes)/(1<<20))
	if used > limit {
		t.Errorf("%d bytes of heap for %d processes, more than %d", used, n, limit)
	}
	if st.Live != n || st.Evicted() != 0 {
		t.Errorf("%+v", st)
	}
	if est := float64(st.Bytes) / float64(used); est < 0.7 || est > 1.5 {
		t.Errorf("the estimate is %.2f of what is used", est)
	}
	runtime.KeepAlive(tab)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkCycle applies fork, exec and exit of one process after another to a
// table that holds a thousand living ones; decoding is not counted.
func BenchmarkCycle(b *testing.B) {
	tab := testTable(Config{Grace: time.Millisecond})
	var ev event.Event
	for i := range 1000 {
		tab.Apply(realistic(i, k(uint32(i+1), 1), event.Key{}), &ev)
	}
	const batch = 4096
	execs := make([]*event.TaskRecord, batch)
	root := k(1, 1)
	fork, exit := forkRec(event.Key{}, root, 0), exitRec(event.Key{}, 0)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		i := n % batch
		if i == 0 {
			b.StopTimer()
			for j := range execs {
				execs[j] = realistic(n+j, k(uint32(2000+j), uint64(1000+n+j)), root)
			}
			b.StartTimer()
		}
		exec := execs[i]
		fork.Key, fork.Boot = exec.Key, exec.Key.Start
		exit.Key, exit.Boot = exec.Key, exec.Boot+10
		if !tab.Apply(fork, &ev) || !tab.Apply(exec, &ev) || !tab.Apply(exit, &ev) {
			b.Fatal("a record was refused")
		}
		execs[i] = nil
		n++
	}
	if live, _ := tab.Len(); live != 1000 {
		b.Fatalf("%d live", live)
	}
}

// BenchmarkForkExit is the same without a program of its own.
func BenchmarkForkExit(b *testing.B) {
	tab := testTable(Config{Grace: time.Millisecond})
	var ev event.Event
	root := k(1, 1)
	tab.Apply(realistic(0, root, event.Key{}), &ev)
	fork, exit := forkRec(event.Key{}, root, 0), exitRec(event.Key{}, 0)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		key := k(uint32(2+n%30000), n)
		fork.Key, fork.Boot, exit.Key, exit.Boot = key, key.Start, key, key.Start+10
		if !tab.Apply(fork, &ev) || !tab.Apply(exit, &ev) {
			b.Fatal("a record was refused")
		}
	}
}

func BenchmarkEnvSelect(b *testing.B) {
	f, err := NewEnvFilter(defaultEnvKeys(), defaultEnvRedact())
	if err != nil {
		b.Fatal(err)
	}
	block := []byte(strings.Repeat("SOME_OTHER_VARIABLE=some value that nobody asks for\x00LC_ALL=C\x00", 15) +
		"PATH=/usr/bin:/bin\x00HOME=/root\x00http_proxy=http://u:p@proxy:3128\x00")
	dst := make([]string, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		dst = f.Select(block, dst[:0])
	}
	if len(dst) != 3 {
		b.Fatalf("chose %q", dst)
	}
}
