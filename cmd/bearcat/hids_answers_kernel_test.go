package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answers are the checks of the questions, in their order.
func answers() []func(*testing.T, *asked) {
	return []func(*testing.T, *asked){
		answerExe, answerDescriptors, answerSockets, answerChain, answerTuples, answerTerminal,
		answerArguments, answerNode, answerDNS, answerPipes, answerPaths,
	}
}

func quoted(s string) string { return regexp.QuoteMeta(s) }

func answerExe(t *testing.T, a *asked) {
	// The name that was typed is a link to a link.
	eventually(t, "the program runs", func() bool { return procLink(a.last, "exe") != procLink(a.stage.pid(), "exe") })
	a.prints(`^%d %s$`, a.last, quoted(procLink(a.last, "exe")))
}

func answerDescriptors(t *testing.T, a *asked) {
	pid := a.stage.pid()
	for _, fd := range []string{"7", "8"} {
		to := procLink(pid, "fd/"+fd)
		if to == "" {
			t.Fatalf("the shell has no descriptor %s", fd)
		}
		a.prints(`pid %d .* fd %s %s <- `, pid, fd, quoted(to))
	}
	// The rest of the shell's descriptors is from before.
	to := procLink(runs(t, a.last, "sleep"), "fd/7")
	a.prints(`pid %d .* fd 7 %s <- `, pid, quoted(to))
}

func answerSockets(t *testing.T, a *asked) {
	pid := runs(t, a.last, "sleep")
	var st unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/fd/0", pid), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		t.Fatalf("descriptor 0 is no socket: %v, mode %o", err, st.Mode)
	}
	a.prints(`^"fd":0,"kind":"socket","inode":%d,"socket":\{"family":"ipv4","proto":"tcp","type":"stream","local":"127.0.0.1","local_port":%s,"remote":"127.0.0.1","remote_port":%d,"state":"established"\}$`,
		st.Ino, <-a.peers, a.port)
	if strings.Contains(a.text(), `"fd":1`) || strings.Contains(a.text(), `"fd":2`) {
		t.Errorf("descriptors that are no sockets are shown:\n%s", a.text())
	}
}

func answerChain(t *testing.T, a *asked) {
	var want []string
	var pid int
	eventually(t, "all three run", func() bool {
		pid = a.last
		for range 2 {
			if c := children(pid); len(c) == 1 {
				pid = c[0]
			}
		}
		return strings.HasSuffix(procLink(pid, "exe"), "/sleep") && parentOf(parentOf(pid)) == a.last
	})
	for p := pid; p > 0; p = parentOf(p) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%s(%d)", strings.TrimSuffix(string(comm), "\n"), p))
	}
	line := a.prints(`^(sleep\(%d\) < .*)$`, pid)[1]
	got := strings.Split(line, " < ")
	// Beyond this test, somebody's parent may have ended, and the table knows
	// one that /proc no longer shows.
	own := slices.IndexFunc(want, func(s string) bool { return strings.HasSuffix(s, fmt.Sprintf("(%d)", os.Getpid())) })
	if own < 0 || len(got) <= own || !slices.Equal(got[:own+1], want[:own+1]) {
		t.Errorf("the chain is\n%q, and /proc says\n%q", got, want)
	}
}

func answerTuples(t *testing.T, a *asked) {
	tuple := fmt.Sprintf(`127\.0\.0\.1:%s->127\.0\.0\.1:%d`, <-a.peers, a.port)
	a.prints(`connect pid %d .* ipv4/tcp %s$`, a.last, tuple)
	a.prints(`tcp     pid %d .* %s syn_sent -> established$`, a.last, tuple)
}

func answerTerminal(t *testing.T, a *asked) {
	var name string
	eventually(t, "the shell below script has a terminal", func() bool {
		for _, c := range children(a.last) {
			name = procLink(c, "fd/0")
			if dev, _ := strconv.Atoi(statFields(strconv.Itoa(c))[4]); dev != 0 && strings.HasPrefix(name, "/dev/pts/") {
				return dev == 136<<8|number(name)
			}
		}
		return false
	})
	a.prints(`^"tty":\{"name":"pts%d","dev":"136:%d"\}$`, number(name), number(name))
}

// number is the number at the end of a terminal's name.
func number(name string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "/dev/pts/"))
	return n
}

func answerArguments(t *testing.T, a *asked) {
	cmdline := func() []string {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.last))
		return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	}
	eventually(t, "it runs", func() bool { return len(cmdline()) == 5 })
	var argv []string
	for _, arg := range cmdline() {
		argv = append(argv, strconv.Quote(arg))
	}
	env := a.prints(`^"argv":\[%s\].*"env":\[(.*)\]$`, quoted(strings.Join(argv, ",")))[1]
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", a.last))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"HISTFILE=/dev/null", "SSH_TOKEN=hunter2", "MINE=1"} {
		if !slices.Contains(strings.Split(string(environ), "\x00"), set) {
			t.Fatalf("its environment has no %s", set)
		}
	}
	if !strings.Contains(env, `"HISTFILE=/dev/null"`) || !strings.Contains(env, `"SSH_TOKEN=`) {
		t.Errorf("chosen variables are missing: %s", env)
	}
	if strings.Contains(a.text(), "hunter2") || strings.Contains(env, "MINE") {
		t.Errorf("a secret, or what was not chosen, is shown: %s", env)
	}
}

func answerNode(t *testing.T, a *asked) {
	var sleeper int
	eventually(t, "sleep runs in its own namespace", func() bool {
		for _, c := range children(a.last) {
			if strings.HasSuffix(procLink(c, "exe"), "/sleep") {
				sleeper = c
			}
		}
		return sleeper != 0
	})
	name, err := exec.Command("nsenter", "-t", strconv.Itoa(sleeper), "-u", "uname", "-n").Output()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(name)); got == host {
		t.Fatalf("the namespace has the host's name %s", got)
	}
	a.prints(`^sleep on %s$`, quoted(strings.TrimSpace(string(name))))
	a.prints(`^unshare on %s$`, quoted(host))
}

func answerDNS(t *testing.T, a *asked) {
	a.prints(`dns     pid %d .* query A www\.example\.org to 127\.0\.0\.1:53$`, a.last)
}

func answerPipes(t *testing.T, a *asked) {
	pid := runs(t, a.last, "cat")
	inode, ok := strings.CutPrefix(procLink(pid, "fd/0"), "pipe:")
	if !ok {
		t.Fatalf("cat reads from %s", procLink(pid, "fd/0"))
	}
	pipe := "pipe" + quoted(inode)
	made := a.prints(`pipe    pid %d .* fd (\d+) %s <- fd (\d+) %s`, a.stage.pid(), pipe, pipe)
	a.prints(`dup     pid %d .* dup2 fd 0 %s <- fd %s %s  fd 0$`, pid, pipe, made[1], pipe)
	writer := 0
	for _, c := range children(a.stage.pid()) {
		if procLink(c, "fd/1") == "pipe:"+inode {
			writer = c
		}
	}
	if writer == 0 {
		t.Fatal("nobody writes to the pipe")
	}
	a.prints(`dup     pid %d .* dup2 fd 1 %s <- fd %s %s  fd 1$`, writer, pipe, made[2], pipe)
}

func answerPaths(t *testing.T, a *asked) {
	open := `^"raw":"%s","resolved":true,"path":"%s"$`
	// A relative name, through a link; and one on a mount that only it sees.
	a.prints(open, `\.\./link/x`, quoted(procLink(a.stage.pid(), "fd/5")))
	to := procLink(runs(t, a.last, "sleep"), "fd/0")
	if !strings.HasSuffix(to, "/mnt/x") {
		t.Fatalf("what is mounted is opened as %s", to)
	}
	a.prints(open, `mnt/x`, quoted(to))
}
