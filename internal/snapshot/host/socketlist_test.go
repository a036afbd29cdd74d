package host

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestParseSocketList(t *testing.T) {
	tcp := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9999 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0000
`
	if got, want := parseSocketList("tcp", tcp), (listed{4711: "127.0.0.1:8080 -> 0.0.0.0:0"}); !maps.Equal(got, want) {
		t.Errorf("tcp has %v", got)
	}
	unixes := `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 815 /run/a b
0000000000000000: 00000003 00000000 00000000 0001 03 816
0000000000000000: 00000003 00000000 00000000 0001 02 0
broken
`
	if got, want := parseSocketList("unix", unixes), (listed{815: "/run/a b", 816: ""}); !maps.Equal(got, want) {
		t.Errorf("unix has %v", got)
	}
}

func TestSocketDifferences(t *testing.T) {
	told := [2]listed{{1: "", 2: "a", 3: "", 5: ""}, {1: "", 2: "a", 5: "", 6: ""}}
	written := [2]listed{{1: "", 4: "b", 7: ""}, {1: "", 4: "b", 5: ""}}
	// 3 and 7 ended, 5 and 6 began meanwhile
	got := differences(told, written)
	if len(got) != 2 || got[0] != (SocketDifference{Inode: 2, Ends: "a", Has: "sock_diag", Lacks: "/proc/net"}) || got[1] != (SocketDifference{Inode: 4, Ends: "b", Has: "/proc/net", Lacks: "sock_diag"}) {
		t.Errorf("differences are %+v", got)
	}
}

func FuzzSocketLists(f *testing.F) {
	f.Add("unix", "0: 2 0 1 1 1 815 /run/x", []byte{2})
	f.Add("tcp", "0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711", make([]byte, 80))
	f.Fuzz(func(t *testing.T, kind, text string, message []byte) {
		if _, ok := parseSocketList(kind, text)[0]; ok {
			t.Error("a socket without an inode is listed")
		}
		if _, _, ok := parseInetDiag(message); ok && !strings.Contains(inetEnds(message), " -> ") {
			t.Errorf("%x has ends %q", message, inetEnds(message))
		}
		if _, _, ok := parseUnixDiag(message); ok && strings.HasPrefix(unixName(message), "\x00") {
			t.Errorf("%x has name %q", message, unixName(message))
		}
	})
}

func TestEnded(t *testing.T) {
	if ended(nil) || ended(os.ErrPermission) || !ended(fmt.Errorf("x: %w", errLeft)) || !ended(os.ErrNotExist) {
		t.Error("only what has gone has ended")
	}
}

// TestCompareSockets has both lists agree on sockets that the test opens.
func TestCompareSockets(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("asking in the way that scan does needs root")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test's own
	port := l.Addr().String()
	// this process may look as if it were elsewhere: its main thread cannot end, and stays in
	// the namespace that a test went into on it
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	pid := child.Process.Pid
	space := linkInode(procPath(pid, "ns/net"))
	got := CompareSockets(map[uint64][]int{space: {pid}})
	if len(got.Notes) > 0 {
		t.Skipf("this kernel does not tell: %v", got.Notes)
	}
	list, err := listFile(space, []int{pid}, "tcp")
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for inode, ends := range list {
		if strings.HasPrefix(ends, port+" ") {
			seen = got.Listed[inode]
		}
	}
	if !seen {
		t.Errorf("%s is not in what was compared", port)
	}
	for _, d := range got.Differences {
		if strings.HasPrefix(d.Ends, port+" ") {
			t.Errorf("both have it, and yet: %+v", d)
		}
	}
}
