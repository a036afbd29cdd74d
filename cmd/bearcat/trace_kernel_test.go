package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/packet"
	"github.com/bearcat-hids/bearcat/internal/observe/task"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// blocks are the kinds of a pcapng file's blocks, in order, and the text of the last.
func blocks(t *testing.T, file string) (kinds []uint32, last string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) >= 12 {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		if n < 12 || n > len(b) || binary.LittleEndian.Uint32(b[n-4:]) != uint32(n) {
			t.Fatalf("a block of %d bytes does not end as it begins", n)
		}
		kinds, last = append(kinds, binary.LittleEndian.Uint32(b)), string(b[8:n-4])
		b = b[n:]
	}
	if len(b) != 0 {
		t.Fatalf("%d bytes are left", len(b))
	}
	return kinds, last
}

// TestTracePacketWritesAllForms follows datagrams in a namespace of their own, as text
// for programs, as a capture and as a trace.
func TestTracePacketWritesAllForms(t *testing.T) {
	guest.Once(t)
	ns := exec.Command("unshare", "--net", "sh", "-c", "ip link set lo up; echo up; read x; "+
		`exec python3 -c 'import socket,time
r=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); r.bind(("127.0.0.1",9310))
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)
for i in range(600): s.sendto(b"x"*57,("127.0.0.1",9310)); r.recv(100); time.sleep(0.1)'`)
	in, err := ns.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := ns.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Process.Kill(); _ = ns.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	capture, trace := filepath.Join(dir, "a.pcapng"), filepath.Join(dir, "a.json")
	cmd := command(t, "bearcat", "trace", "packet", "--netns", strconv.Itoa(ns.Process.Pid), "--pid", strconv.Itoa(ns.Process.Pid),
		"--count", "3", "--for", patience.String(), "--json", "--pcapng", capture, "--perfetto", trace, "udp", "and", "port", "9310")
	var said, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s %s", len(lines), said.String(), errs.String())
	}
	for _, line := range lines {
		var l packet.Life
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.End != "copied" || l.Dport != 9310 || l.Length != 85 || l.Reader == nil || l.Reader.Comm != "python3" || len(l.Stages) < 6 {
			t.Errorf("%+v", l)
		}
	}
	kinds, last := blocks(t, capture)
	if len(kinds) != 5 || kinds[0] != 0x0a0d0d0a || kinds[1] != 1 || kinds[4] != 6 || !strings.Contains(last, "copied: to python3[") {
		t.Errorf("the capture has blocks %x, and the last says %q", kinds, last)
	}
	if tshark, err := exec.LookPath("tshark"); err == nil {
		b, err := exec.Command(tshark, "-r", capture, "-T", "fields", "-e", "udp.dstport", "-e", "frame.comment").CombinedOutput()
		if err != nil || strings.Count(string(b), "9310") < 3 || !strings.Contains(string(b), "copied") {
			t.Errorf("tshark: %v: %s", err, b)
		}
	}
	b, err := os.ReadFile(trace)
	var events struct {
		TraceEvents []struct{ Ph string } `json:"traceEvents"`
	}
	if err != nil || json.Unmarshal(b, &events) != nil || len(events.TraceEvents) < 20 {
		t.Errorf("the trace: %v, %d events", err, len(events.TraceEvents))
	}
	for _, f := range []string{capture, trace} {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, st.Mode(), err)
		}
	}
	if !strings.Contains(errs.String(), "3 packets shown") || !strings.Contains(errs.String(), "notes lost 0") {
		t.Errorf("the footer says %s", errs.String())
	}
}

// TestTraceTaskAndIO follows a program that reads a file again and again.
func TestTraceTaskAndIO(t *testing.T) {
	guest.Once(t)
	sh := exec.Command("sh", "-c", "while :; do read x < /etc/hostname; sleep 0.05; done")
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sh.Process.Kill(); _ = sh.Wait() })
	pid := strconv.Itoa(sh.Process.Pid)
	out, err := command(t, "bearcat", "trace", "task", pid, "--for", "2s", "--summary", "--json").Output()
	var sums struct{ Tasks []task.Sum }
	if err != nil || json.Unmarshal(out, &sums) != nil || len(sums.Tasks) != 1 || sums.Tasks[0].Runs < 3 || sums.Tasks[0].Slept < 500*time.Millisecond {
		t.Errorf("%v: %s", err, out)
	}
	out, err = command(t, "bearcat", "trace", "io", "--pid", pid, "--path", "/etc/hostname", "--call", "read", "--count", "2", "--for", patience.String()).Output()
	if err != nil || strings.Count(string(out), "/etc/hostname") != 2 || !strings.Contains(string(out), "sys_exit") {
		t.Errorf("%v: %s", err, out)
	}
	for _, bad := range [][]string{{"task"}, {"task", "x"}, {"task", "1", "--count", "-1"}, {"packet", "port"}, {"packet", "--rate", "0"}, {"io", "--comm", "a name that is far too long"}, {"io", "--slower", "-1s"}} {
		if out, err := command(t, "bearcat", append([]string{"trace"}, bad...)...).CombinedOutput(); err == nil || len(out) == 0 {
			t.Errorf("trace %s is accepted: %s", strings.Join(bad, " "), out)
		}
	}
}

// TestTraceSaysWhatTheFirewallDoes sends to a port that the firewall drops, and to one
// that it does not, until both have been told of.
func TestTraceSaysWhatTheFirewallDoes(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000, 9001)
	n.fw("attach", "fws", "--mode", "generic")
	n.apply("rules: [{name: no-9001, action: drop, match: {protocol: tcp, dport: 9001}}]")
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.server, "bearcat", "trace", "packet", "--for", patience.String(), "--json", "inbound", "and", "tcp", "dst", "portrange", "9000-9001"}, n.flags[:4]...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan map[uint16]string)
	go func() {
		details := map[uint16]string{}
		lives := json.NewDecoder(said)
		for len(details) < 2 {
			var l packet.Life
			if err := lives.Decode(&l); err != nil {
				break
			}
			if s, ok := l.Stage("firewall"); ok && l.Flags == "S" {
				details[l.Dport] = l.End + ": " + s.Detail
			}
		}
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, said)
		_ = cmd.Wait()
		read <- details
	}()
	for {
		n.want("a port that nothing drops", v4a, true)
		n.want("a dropped port", v4b, false)
		select {
		case details := <-read:
			if !strings.Contains(details[9000], "passes") || !strings.Contains(details[9001], "dropped: drops") || !strings.Contains(details[9001], "rule no-9001") {
				t.Errorf("the firewall's stages are %v: %s", details, errs.String())
			}
			return
		default:
		}
	}
}

// TestChoicesTogether gives observers of packets and files a process and its network
// namespace at once.
func TestChoicesTogether(t *testing.T) {
	guest.Once(t)
	pid := strconv.Itoa(os.Getpid())
	for _, view := range []string{"trace packet", "trace tcp", "trace io", "drops"} {
		args := append(strings.Fields(view), "--pid", pid, "--netns", pid, "--for", "50ms")
		if out, err := command(t, "bearcat", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", view, err, out)
		}
	}
}
