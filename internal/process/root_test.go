package process

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// TestRootWithoutAWay follows processes to root, by ways that there are and by
// none.
func TestRootWithoutAWay(t *testing.T) {
	user := event.Cred{UID: 1000, EUID: 1000, SUID: 1000, FSUID: 1000}
	root, suid, kept, able := event.Cred{}, user, user, user
	suid.EUID, suid.SUID, suid.FSUID = 0, 0, 0
	kept.SUID = 0
	able.Permitted = 1 << capSetuid
	key, child := event.Key{Pid: 10, Start: 5}, event.Key{Pid: 11, Start: 9}
	exec := func(k event.Key, c event.Cred, mode uint32) event.TaskRecord {
		return event.TaskRecord{Type: event.Exec, Key: k, Cred: c, Image: (&event.Image{Exe: event.File{Path: "/bin/x", Mode: mode}, Argv: []string{"x"}, Argc: 1}).Seal()}
	}
	open := func(k event.Key, c event.Cred) event.TaskRecord {
		return event.TaskRecord{Type: event.Open, Key: k, Cred: c, Call: &event.Call{Spec: event.CallNamed("openat")}}
	}
	fork := event.TaskRecord{Type: event.Fork, Key: child, Creator: key}
	setuid := open(key, root)
	setuid.Type, setuid.Call = event.Setuid, &event.Call{Spec: event.CallNamed("setuid"), NewCred: &root}
	for _, c := range []struct {
		what string
		recs []event.TaskRecord
		seen event.Type
	}{
		{"root stays root", []event.TaskRecord{exec(key, root, 0o755), open(key, root)}, 0},
		{"a user stays one", []event.TaskRecord{exec(key, user, 0o755), open(key, user)}, 0},
		{"a set-uid program", []event.TaskRecord{exec(key, user, 0o755), exec(key, suid, 0o4755), open(key, suid), open(key, root)}, 0},
		{"a saved id", []event.TaskRecord{exec(key, kept, 0o755), open(key, root)}, 0},
		{"the capability", []event.TaskRecord{exec(key, able, 0o755), open(key, root)}, 0},
		{"root that was given away and taken back", []event.TaskRecord{exec(key, root, 0o755), open(key, user), open(key, root)}, 0},
		{"a process that is new", []event.TaskRecord{open(key, user), open(key, root)}, 0},
		{"none, noticed at a call", []event.TaskRecord{exec(key, user, 0o755), open(key, root)}, event.Open},
		{"none, noticed at an exec", []event.TaskRecord{exec(key, user, 0o755), exec(key, root, 0o755)}, event.Exec},
		{"none, noticed at setuid", []event.TaskRecord{exec(key, user, 0o755), setuid}, event.Setuid},
		{"none, in a child", []event.TaskRecord{exec(key, user, 0o755), fork, open(child, root)}, event.Open},
		{"effective only", []event.TaskRecord{exec(key, user, 0o755), open(key, suid)}, event.Open},
	} {
		tab := NewTable(Config{})
		var told []*event.CredsInfo
		for i, rec := range append(c.recs, c.recs[len(c.recs)-1]) { // and once more: it is told once
			rec.Boot = uint64(100 + i)
			if rec.Image != nil {
				img := *rec.Image
				rec.Image = &img
			}
			var ev event.Event
			tab.Apply(&rec, &ev)
			if g := tab.Gained(); g != nil {
				told = append(told, g)
			}
		}
		switch {
		case c.seen == 0 && len(told) > 0:
			t.Errorf("%s: told of %+v", c.what, told[0])
		case c.seen != 0 && (len(told) != 1 || told[0].Seen != c.seen || told[0].Old.UID != 1000):
			t.Errorf("%s: told %d times, want once at %s", c.what, len(told), c.seen)
		}
	}
}
