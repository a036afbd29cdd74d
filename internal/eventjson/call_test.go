package eventjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

func TestDecodedCall(t *testing.T) {
	for _, alert := range []bool{false, true} {
		want := fullCall(sampleExec().Proc)
		line := testEncoder.AppendEvent(nil, want)
		if alert {
			line = testEncoder.AppendAlert(nil, &event.Alert{Event: want})
		}
		got, err := DecodeEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffCalls(want.Call, got.Call); diff != "" || got.Type != event.Connect {
			t.Errorf("alert %v: a %v comes back as another call:\n%s", alert, got.Type, diff)
		}
	}
}

// TestCallArgs: arguments by name, numbers with their sign and flags in words.
func TestCallArgs(t *testing.T) {
	const cwd = 0xffffff9c
	for want, c := range map[string]event.Call{
		`"name":"openat","ret":-2,"errno":"ENOENT","args":{"dirfd":"AT_FDCWD","flags":"O_WRONLY|O_CREAT","mode":"0600"},"raw":["0xffffff9c",`: {
			Spec: event.CallNamed("openat"), Ret: -2, Args: [6]uint64{cwd, 0x7f00, 0x41, 0o600}},
		`"name":"openat2","ret":3,"args":{"dirfd":"AT_FDCWD","flags":"O_RDWR|O_CLOEXEC","mode":"00"},`: {
			Spec: event.CallNamed("openat2"), Ret: 3, Args: [6]uint64{cwd, 0x7f00, 0x80002, 0}},
		`"name":"kill","ret":-9999,"args":{"pid":-1,"sig":"SIGKILL"},`: {
			Spec: event.CallNamed("kill"), Ret: -9999, Args: [6]uint64{0xffffffff, 9}},
		`"name":"chown","ret":-133,"errno":"EHWPOISON","args":{"uid":4294967295,"gid":0},`: {
			Spec: event.CallNamed("chown"), Ret: -133, Args: [6]uint64{0x7f00, 0xffffffff, 0}},
		`"name":"prctl","ret":-4000,"errno":"4000","args":{"option":"PR_SET_DUMPABLE","arg2":"0xdeadbeefdeadbeef",`: {
			Spec: event.CallNamed("prctl"), Ret: -4000, Args: [6]uint64{4, 0xdeadbeefdeadbeef}},
		`{"name":"chroot","ret":0,"args":{},"raw"`:             {Spec: event.CallNamed("chroot")},
		`{"name":"tcp_state","ret":0,"via":"io_uring","raw":[`: {Spec: event.CallNamed("tcp_state"), Via: "io_uring"},
	} {
		line := AppendEvent(nil, &event.Event{Type: c.Spec.Type, Call: &c})
		if !json.Valid(line) || !bytes.Contains(line, []byte(want)) {
			t.Errorf("%s\nlacks %s", line, want)
		}
	}
}

// TestEveryCall writes and reads each call there is, with registers full.
func TestEveryCall(t *testing.T) {
	for _, s := range event.Calls() {
		for _, v := range []uint64{0, 1, 1 << 31, ^uint64(0)} {
			ev := &event.Event{Type: s.Type, Call: &event.Call{Spec: s, Ret: -int64(v & 0xff), Args: [6]uint64{v, v, v, v, v, v}}}
			line := AppendEvent(nil, ev)
			got, err := DecodeEvent(line)
			if err != nil || !json.Valid(line) {
				t.Fatalf("%v: %s", err, line)
			}
			if diff := diffCalls(ev.Call, got.Call); diff != "" || got.Call.Spec != s {
				t.Errorf("%s: %s", s.Name, diff)
			}
		}
	}
}

// TestUnknownCall reads what a newer version, or nobody, may have written.
func TestUnknownCall(t *testing.T) {
	for line, name := range map[string]string{
		`{"type":"open","call":{"name":"openat3","ret":3,"args":{"x":[1]},"new":{"a":null}}}`: "openat3",
		`{"call":{"ret":-1},"type":"open"}`:                                                   "",
	} {
		ev, err := DecodeEvent([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if s := ev.Call.Spec; s == nil || s.Name != name || s.Type != event.Open || len(s.Args) != 0 {
			t.Errorf("%s has the call %+v", line, s)
		}
		first := testEncoder.AppendEvent(nil, ev)
		if again := recode(t, first); !bytes.Equal(first, again) {
			t.Errorf("\n first %s\nsecond %s", first, again)
		}
	}
	if s := event.CallNamed("openat3"); s != nil {
		t.Error("reading a line made a call known")
	}
}

// TestCallProcess: a call's line names the process and its program, the alert
// has all of it.
func TestCallProcess(t *testing.T) {
	ev := fullCall(sampleExec().Proc)
	line := string(testEncoder.AppendEvent(nil, ev))
	_, process, ok := strings.Cut(line, `"process":`)
	if !ok || !strings.Contains(process, `"exe":{"path":"/usr/bin/bash"`) || !strings.Contains(process, `"name":"web","image":"registry`) ||
		!strings.Contains(process, `"pod":{"name":"web-0","namespace":"shop"}`) {
		t.Errorf("the short form lacks the program or the container: %s", process)
	}
	alert := string(testEncoder.AppendAlert(nil, &event.Alert{Event: ev}))
	for _, long := range []string{`"argv"`, `"ancestors"`, `"labels"`, `"mounts"`, `"image_id"`} {
		if strings.Contains(process, long) {
			t.Errorf("the line of a call has %s", long)
		}
		if !strings.Contains(alert, long) {
			t.Errorf("an alert about a call lacks %s", long)
		}
	}
}

// TestLateContainer: what a runtime tells after the first lines is in the next.
func TestLateContainer(t *testing.T) {
	e := NewEncoder("", "")
	group := &event.Cgroup{ID: 1, Path: "/a", ContainerID: "0123456789ab"}
	p := &event.Process{Cgroup: group}
	for _, typ := range []event.Type{event.Exec, event.Fork} {
		group.Meta = nil
		if line := e.AppendEvent(nil, &event.Event{Type: typ, Proc: p}); bytes.Contains(line, []byte(`"image"`)) {
			t.Errorf("an image from nowhere: %s", line)
		}
		group.Meta = &event.ContainerMeta{Image: "web"}
		if line := e.AppendEvent(nil, &event.Event{Type: typ, Proc: p}); !bytes.Contains(line, []byte(`"image":"web"`)) {
			t.Errorf("the image is not in %s", line)
		}
	}
	group.Meta = &event.ContainerMeta{}
	group.ContainerID = ""
	if line := e.AppendEvent(nil, &event.Event{Type: event.Exec, Proc: p}); bytes.Contains(line, []byte(`"container"`)) {
		t.Errorf("an empty container: %s", line)
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	ev, buf := fullCall(sampleExec().Proc), make([]byte, 0, 16384)
	ev.Call.Spec, ev.Call.Args[2] = event.CallNamed("openat"), 0x41
	if n := testing.AllocsPerRun(100, func() { buf = testEncoder.AppendEvent(buf[:0], ev) }); n > 0 {
		t.Errorf("a line costs %v allocations", n)
	}
}

func BenchmarkAppendCall(b *testing.B) {
	ev, buf := fullCall(sampleExec().Proc), make([]byte, 0, 16384)
	ev.Call.DNS, ev.Call.BPF, ev.Call.TCP, ev.Call.OldCred, ev.Call.NewCred, ev.Call.Path2 = nil, nil, nil, nil, nil, nil
	b.ReportAllocs()
	for b.Loop() {
		buf = testEncoder.AppendEvent(buf[:0], ev)
	}
	b.SetBytes(int64(len(buf)))
}

// TestFieldsOfOddLines reads every field of rules out of lines that no sensor
// has made: rules are tried on whatever a file holds.
func TestFieldsOfOddLines(t *testing.T) {
	for _, line := range []string{
		`{"type":"open"}`, `{"type":"open","call":{}}`, `{"type":"kill","call":{"name":"openat"},"process":{}}`, `{"type":"exec","call":{"name":"x"}}`,
		`{"type":"mount","call":{"name":"kill","path":{},"path2":{},"fd":{},"fd2":{},"addr":{},"target":{},"dns":{},"bpf":{},"tcp":{},"old_cred":{},"new_cred":{}},
		"process":{"container":{"mounts":[{}],"pod":{"sandbox_id":"a"}}}}`,
	} {
		ev, err := DecodeEvent([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range event.Fields() {
			for _, arg := range []string{"", "0", "1", "name", "flags"} {
				if ref, err := event.Lookup(f.Name, arg); err == nil {
					n++
					_ = ref.OutputField(ev)
				}
			}
		}
		if n < 300 {
			t.Errorf("only %d fields were read", n)
		}
	}
}
