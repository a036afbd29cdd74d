package eventjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
	"pgregory.net/rapid"
)

// TestMemoriesChangeNothing: whatever came before, a line is that of an encoder
// which has written nothing yet.
func TestMemoriesChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := NewEncoder("h", "b")
		var few []*event.Event
		for range 4 {
			few = append(few, gen{t}.event())
		}
		for range 12 {
			ev := *rapid.SampledFrom(few).Draw(t, "event")
			if ev.Proc != nil {
				p := *ev.Proc
				p.Pid = rapid.Uint32Range(1, 3).Draw(t, "pid")
				if rapid.Bool().Draw(t, "changed") {
					p.Comm, p.ExitBoot = gen{t}.str(), gen{t}.u64()
				}
				ev.Proc = &p
			}
			if ev.Call != nil {
				ev.Call = ev.Call.Clone()
				ev.Call.Args[rapid.IntRange(0, 5).Draw(t, "arg")] = gen{t}.u64()
				if f := ev.Call.Path; f != nil {
					f.Inode, f.UID = uint64(rapid.IntRange(0, 2).Draw(t, "inode")), uint32(rapid.IntRange(0, 1).Draw(t, "uid"))
				}
			}
			got, want := e.AppendEvent(nil, &ev), NewEncoder("h", "b").AppendEvent(nil, &ev)
			if !bytes.Equal(got, want) {
				t.Fatalf("\n got %s\nwant %s", got, want)
			}
		}
	})
}

// TestLineIsThatOfEncodingJSON compares the lines of an open and a connect with what
// the standard library makes of the same members.
func TestLineIsThatOfEncodingJSON(t *testing.T) {
	type object map[string]any
	parent := &event.Process{Key: event.Key{Pid: 1, Start: 7}, Comm: "init"}
	p := &event.Process{Key: event.Key{Pid: 40, Start: 1 << 40}, NSPid: 3, PPid: 1, Parent: parent, Comm: "a\"\n\u2028<b>", User: "ada", Time: sampleTime, ExecBoot: 12,
		Image: &event.Image{Exe: event.File{Path: "/bin/é", Inode: 8}}, Cgroup: &event.Cgroup{ID: 5, Path: "/x", ContainerID: "0123456789ab"}}
	p.Cred.EUID = 1000
	process := object{"pid": 40, "start": 1 << 40, "key": "b:40:1099511627776", "ns_pid": 3, "ppid": 1, "parent": object{"pid": 1, "start": 7, "comm": "init"},
		"uid": 0, "euid": 1000, "user": "ada", "comm": p.Comm, "exe": object{"path": "/bin/é", "inode": 8}, "cgroup": object{"id": 5, "path": "/x"},
		"container": object{"id": "0123456789ab"}, "start_time": sampleTime.Format(time.RFC3339Nano), "exec_ns": 12}
	file := event.File{Path: "/etc/x y", Dev: 8<<32 | 1, Inode: 99, Nlink: 1, Mode: 0o100644, GID: 4}
	members := func(more object) object {
		more["path"], more["dev"], more["inode"], more["nlink"], more["mode"], more["uid"], more["gid"] = file.Path, "8:1", 99, 1, "0100644", 0, 4
		return more
	}
	head := func(typ string, call object) object {
		return object{"time": sampleTime.Format(time.RFC3339Nano), "type": typ, "host": "h", "boot_ns": 5, "num": 6, "cpu": 1, "seq": 2, "tid": 41, "call": call, "process": process}
	}
	open := &event.Call{Spec: event.CallNamed("openat"), Ret: 3, Args: [6]uint64{0xffffff9c, 0x7ffc01, 0x80041, 0o644},
		Path: &event.FileRef{Raw: "x y", Resolved: true, Created: true, File: file}, FD: &event.FD{Num: 3, Kind: event.StdioFile, File: file}}
	sock := &event.Socket{Family: "ipv4", Proto: "tcp", Type: "stream", Local: "10.0.0.1", LocalPort: 40000, Remote: "192.0.2.1", RemotePort: 443, State: "syn_sent"}
	connect := &event.Call{Spec: event.CallNamed("connect"), Ret: -115, Args: [6]uint64{5, 1 << 63, 16}, FD: &event.FD{Num: 5, Kind: event.StdioSocket, Sock: sock},
		Addr: &event.Socket{Family: "ipv4", Remote: "192.0.2.1", RemotePort: 443}}
	e := NewEncoder("h", "b")
	for _, c := range []struct {
		typ  event.Type
		call *event.Call
		want object
	}{
		{event.Open, open, head("open", object{"name": "openat", "ret": 3, "args": object{"dirfd": "AT_FDCWD", "flags": "O_WRONLY|O_CREAT|O_CLOEXEC", "mode": "0644"},
			"raw": []string{"0xffffff9c", "0x7ffc01", "0x80041", "0x1a4", "0x0", "0x0"}, "path": members(object{"raw": "x y", "resolved": true, "created": true}),
			"fd": members(object{"num": 3, "kind": "file"})})},
		{event.Connect, connect, head("connect", object{"name": "connect", "ret": -115, "errno": "EINPROGRESS", "args": object{"fd": 5}, "raw": []string{"0x5", "0x8000000000000000", "0x10", "0x0", "0x0", "0x0"},
			"addr": object{"family": "ipv4", "remote": "192.0.2.1", "remote_port": 443},
			"fd": object{"num": 5, "kind": "socket", "socket": object{"family": "ipv4", "proto": "tcp", "type": "stream", "local": "10.0.0.1", "local_port": 40000,
				"remote": "192.0.2.1", "remote_port": 443, "state": "syn_sent"}}})},
	} {
		text, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from what is remembered
			line := e.AppendEvent(nil, &event.Event{Type: c.typ, Time: sampleTime, Boot: 5, Num: 6, CPU: 1, Seq: 2, Tid: 41, Proc: p, Call: c.call})
			if got, want := numbered(t, line), numbered(t, text); !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n got %s\nwant %s", c.typ, line, text)
			}
		}
	}
}

func numbered(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

func TestHexIsThatOfStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n") >> rapid.IntRange(0, 64).Draw(t, "shift")
		if got, want := string(appendHex(nil, n)), "0x"+strconv.FormatUint(n, 16); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}
