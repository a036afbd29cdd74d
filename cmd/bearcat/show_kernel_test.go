package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// shown runs a noun with --json.
func shown(t *testing.T, args ...string) (out struct {
	Processes []procRow
	Files     []fdRow
	Sockets   []sockRow
	Pipes     []pipeRow
}, err error) {
	t.Helper()
	var b bytes.Buffer
	cmd := showCommand()
	cmd.SetArgs(append(args, "--json"))
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SilenceUsage = true
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return out, err
	}
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatalf("%v: %v in %s", args, err, b.String())
	}
	return out, nil
}

// TestShowContainer puts a process with a child into a control group that is named after
// a container, and asks for what is in it.
func TestShowContainer(t *testing.T) {
	guest.Once(t)
	guest.Require(t)
	mounts := kernel.CgroupMounts()
	if len(mounts) == 0 || !mounts[0].V2 {
		t.Skip("no control groups of version 2 are mounted")
	}
	const id = "3f9a1c77be023f9a1c77be023f9a1c77be023f9a1c77be023f9a1c77be02aaaa"
	dir := filepath.Join(mounts[0].Dir, "docker-"+id+".scope", "inner")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `echo $$ > `+dir+`/cgroup.procs && exec python3 -c 'import socket,os,subprocess
s=socket.create_server(("127.0.0.1",0));f=open("/etc/passwd");p=subprocess.Popen(["sleep","600"],stdin=subprocess.PIPE)
print(p.pid,s.getsockname()[1],flush=True);p.wait()'`)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	t.Cleanup(func() {
		if child != 0 {
			if p, err := os.FindProcess(child); err == nil {
				_ = p.Kill()
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Remove(dir)
		_ = os.Remove(filepath.Dir(dir))
	})
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	if child, err = strconv.Atoi(words[0]); err != nil {
		t.Fatal(err)
	}
	pids := []uint32{uint32(cmd.Process.Pid), uint32(child)}
	slices.Sort(pids)
	short := id[:8]
	for _, noun := range []string{"proc", "tree"} {
		got, err := shown(t, noun, "--container", short)
		var in []uint32
		for _, p := range got.Processes {
			in = append(in, p.Pid)
		}
		slices.Sort(in)
		if err != nil || !slices.Equal(in, pids) {
			t.Errorf("show %s has %v, %v, want %v", noun, in, err, pids)
		}
	}
	got, err := shown(t, "fd", "--container", short)
	if err != nil || len(got.Files) == 0 || !slices.ContainsFunc(got.Files, func(f fdRow) bool { return f.Path == "/etc/passwd" }) ||
		slices.ContainsFunc(got.Files, func(f fdRow) bool { return !slices.Contains(pids, f.Pid) }) {
		t.Errorf("show fd has %+v, %v", got.Files, err)
	}
	got, err = shown(t, "socket", "--container", short)
	if err != nil || len(got.Sockets) != 1 || strconv.Itoa(int(got.Sockets[0].LocalPort)) != words[1] {
		t.Errorf("show socket has %+v, %v", got.Sockets, err)
	}
	if got, err = shown(t, "pipe", "--container", short, "--pid", words[0]); err != nil || len(got.Pipes) < 1 {
		t.Errorf("show pipe has %+v, %v", got.Pipes, err)
	}
	if _, err := shown(t, "proc", "--container", "ffffffffffff"); err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("a container that is none: %v", err)
	}
}
