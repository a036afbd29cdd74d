package host

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// TestPorts opens twelve connections to one destination and ends four of them, in a
// namespace that gives ninety ports to connections.
func TestPorts(t *testing.T) {
	guest.NeedKernel(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	for name, value := range map[string]string{"ip_local_port_range": "40000 40099", "ip_local_reserved_ports": "40050-40059"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	sleeper := exec.Command("sleep", "600") // it lives there
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	l, err := net.Listen("tcp", "127.0.0.1:40007") // also one of the range: what comes in there is not counted
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const opened, ended = 12, 4
	for i := range opened {
		c, err := net.Dial("tcp", "127.0.0.1:40007")
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if i < ended {
			_ = c.Close() // the end that closes first is the one that waits
			_ = s.Close()
			continue
		}
		defer c.Close()
		defer s.Close()
	}
	space := linkInode(procPath(sleeper.Process.Pid, "ns/net"))
	want := PortUse{NetNS: space, Local: "127.0.0.1", Destination: "127.0.0.1:40007", Ports: opened, TimeWait: ended, Of: 90}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		p, err := ReadPorts()
		if err != nil {
			t.Fatal(err)
		}
		var got []PortUse
		for _, u := range p.Uses {
			if u.NetNS == space {
				got = append(got, u)
			}
		}
		if len(got) == 1 && got[0] == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %q, want %+v alone", got, p.Notes, want)
		}
	}
}
