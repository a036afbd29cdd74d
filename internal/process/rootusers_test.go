package process

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// fakeRoot makes a /proc with one process, whose root holds the files.
func fakeRoot(t *testing.T, proc string, pid int, files map[string]string) {
	t.Helper()
	etc := filepath.Join(proc, fmt.Sprint(pid), "root", "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func inContainer(pid, mnt uint32) *event.Process {
	return &event.Process{Key: event.Key{Pid: pid, Start: 1}, NS: &event.Namespaces{Mnt: mnt}, Cgroup: &event.Cgroup{ContainerID: "c"}}
}

func TestNamesInsideContainers(t *testing.T) {
	proc := t.TempDir()
	fakeRoot(t, proc, 7, map[string]string{"passwd": "app:x:101:102::/:/bin/sh\n", "group": "team:x:102:\n"})
	r := newRoots(proc)
	r.hostMnt = 1
	n := r.of(inContainer(7, 50))
	if n == nil || n.users[101] != "app" || n.groups[102] != "team" {
		t.Fatalf("%+v", n)
	}
	// the namespace is known now, also through a process that has gone
	if again := r.of(inContainer(8, 50)); again != n {
		t.Error("a namespace is read twice")
	}
	if n := r.of(inContainer(9, 51)); n == nil || len(n.users) != 0 {
		t.Errorf("a process that has gone has names: %+v", n)
	}
	host := inContainer(7, 1)
	if r.of(host) != nil {
		t.Error("the host's namespace is taken for a container's")
	}
	host.NS.Mnt, host.Cgroup.ContainerID = 60, ""
	if r.of(host) != nil {
		t.Error("a namespace without container is taken for one")
	}
}

func TestNamesInsideContainersStayInside(t *testing.T) {
	proc := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("host:x:101:1::/:/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fakeRoot(t, proc, 7, nil)
	if err := os.Symlink(outside, filepath.Join(proc, "7/root/etc/passwd")); err != nil {
		t.Fatal(err)
	}
	r := newRoots(proc)
	if n := r.of(inContainer(7, 50)); n == nil || len(n.users) != 0 {
		t.Errorf("a link leads out of the container: %+v", n)
	}
}

func TestNamesInsideContainersAreBounded(t *testing.T) {
	proc := t.TempDir()
	fakeRoot(t, proc, 7, map[string]string{"passwd": "a:x:1:1::/:/\n"})
	r := newRoots(proc)
	for mnt := range uint32(3 * maxRoots) {
		r.of(inContainer(7, 1000+mnt))
	}
	if len(r.byMnt) > maxRoots || len(r.order) > maxRoots {
		t.Errorf("%d namespaces are kept", len(r.byMnt))
	}
}
