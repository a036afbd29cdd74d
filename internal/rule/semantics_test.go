package rule

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// TestConditions pins the meaning of the language, one condition a line, for
// the exec of helpers_test.go.
func TestConditions(t *testing.T) {
	ev := execEvent()
	tests := []struct {
		cond string
		want bool
	}{
		// what and, or, not and parentheses mean, and how they bind
		{`proc.name = nc`, true},
		{`proc.name == nc`, true},
		{`proc.name=nc and proc.pname=bash`, true},
		{`proc.name=x and proc.name=y or proc.name=nc`, true},
		{`proc.name=nc or proc.name=y and proc.name=x`, true},
		{`(proc.name=nc or proc.name=y) and proc.name=x`, false},
		{`not proc.name=nc or proc.name=nc`, true},
		{`not(proc.name=nc or proc.name=x)`, false},
		{`not not proc.name=nc`, true},
		{`proc.name=nc and(proc.pid=200)or(proc.pid=1)`, true},
		{`proc.name=nc and not(proc.pid=1)`, true},
		// an absent field makes a check false, also !=
		{`bc.proc.script = x`, false},
		{`bc.proc.script != x`, false},
		{`not bc.proc.script = x`, true},
		{`bc.proc.script exists`, false},
		{`not bc.proc.script exists`, true},
		{`proc.aname[9] != x`, false},
		{`bc.exit.code != 1`, false},
		{`bc.exit.code >= 0`, false},
		{`tolower(bc.proc.script) != x`, false},
		{`len(bc.proc.script) = 0`, false},
		// text, with case
		{`proc.name = NC`, false},
		{`proc.cmdline = "nc -l -p 4444"`, true},
		{`proc.cmdline contains "-p 4"`, true},
		{`proc.cmdline contains "-P 4"`, false},
		{`proc.cmdline icontains "-P 4"`, true},
		{`proc.cmdline contains ""`, true},
		{`proc.cmdline startswith nc`, true},
		{`proc.cmdline endswith 4444`, true},
		{`proc.cmdline bcontains 2d6c`, true},
		{`proc.cmdline bstartswith 6E63`, true},
		{`proc.cmdline bstartswith 2d6c`, false},
		{`proc.exe = nc`, true},
		{`proc.args = "-l -p 4444"`, true},
		{`proc.exeline = "nc -l -p 4444"`, true},
		{`proc.cwd startswith "/root/"`, true},
		{`proc.cwd = "/root"`, false},
		// glob and regex match the whole text; a star also spans slashes
		{`proc.exepath glob "/usr/*"`, true},
		{`proc.exepath glob "/usr/*/nc.openbsd"`, true},
		{`proc.exepath glob "*bin*open*"`, true},
		{`proc.exepath glob "/usr"`, false},
		{`proc.exepath glob "/USR/*"`, false},
		{`proc.exepath iglob "/USR/*"`, true},
		{`proc.name glob "[a-n]?"`, true},
		{`proc.name glob "[!a-n]?"`, false},
		{`proc.name glob "@(nc|ncat)"`, true},
		{`proc.name regex "n[a-c]"`, true},
		{`proc.name regex "n"`, false},
		{`proc.cmdline regex ".*-p [0-9]+"`, true},
		{`proc.cmdline regex "nc|x"`, false},
		{`proc.exepath regex "/usr/bin/nc\.openbsd"`, true},
		// sets
		{`proc.name in (a, nc, b)`, true},
		{`proc.name in (a, 'nc', "b")`, true},
		{`proc.name in ()`, false},
		{`not proc.name in (a, b)`, true},
		{`proc.name intersects (nc, x)`, true},
		{`proc.pid in (1, 200)`, true},
		{`proc.pid in (1, 2, 3, 4, 5, 200)`, true},
		{`proc.pid in (0xc8)`, true},
		{`bc.proc.argv in (nc, -l, -p, 4444, x)`, true},
		{`bc.proc.argv in (nc, -l)`, false},
		{`bc.proc.argv intersects (-l, x)`, true},
		{`bc.proc.argv intersects (x, y)`, false},
		{`bc.proc.argv = -l`, true},
		{`bc.proc.argv[1] = -l`, true},
		{`bc.proc.argv[9] exists`, false},
		{`bc.proc.argv exists`, true},
		// path prefixes by component
		{`proc.exepath pmatch (/usr)`, true},
		{`proc.exepath pmatch (/usr/b)`, false},
		{`proc.exepath pmatch (/usr/bin/nc.openbsd)`, true},
		{`proc.exepath pmatch (/opt, /usr/*/)`, true},
		{`proc.exepath pmatch (/usr/bin/nc.openbsd/x)`, false},
		{`proc.exepath pmatch (/*/lib)`, false},
		{`proc.exepath pmatch (/)`, true},
		// numbers
		{`proc.pid > 199`, true},
		{`proc.pid >= 200.0`, true},
		{`proc.pid < 200`, false},
		{`proc.pid < 200.5`, true},
		{`proc.pid > 199.5`, true},
		{`proc.pid >= 200.5`, false},
		{`proc.pid <= 2e+02`, true},
		{`proc.pid != 1`, true},
		{`user.loginuid = -1`, true},
		{`user.loginuid < 0`, true},
		{`proc.duration <= 1000000000`, true},
		{`proc.duration > 1000000000`, false},
		{`proc.tty != 0`, true},
		{`proc.is_exe_upper_layer = false`, true},
		{`proc.is_exe_upper_layer = true`, false},
		{`evt.num > 0`, true},
		{`evt.num = 0`, false},
		{`evt.num = 7`, true},
		// quantifiers
		{`proc.cmdline contains anyof (x, -l)`, true},
		{`proc.cmdline contains allof (-l, -p)`, true},
		{`proc.cmdline contains allof (-l, x)`, false},
		{`proc.cmdline contains oneof (-l, x)`, true},
		{`proc.cmdline contains oneof (-l, -p)`, false},
		{`proc.name != allof (a, b)`, true},
		{`proc.name != anyof (nc, b)`, true},
		{`proc.name = anyof(nc, b)`, true},
		// functions
		{`tolower(proc.name) = nc`, true},
		{`toupper(proc.name) = NC`, true},
		{`toupper(proc.name) in (NC, X)`, true},
		{`basename(proc.exepath) = nc.openbsd`, true},
		{`len(proc.name) = 2`, true},
		{`len(bc.proc.argv) = 4`, true},
		{`len(proc.name) > 2`, false},
		{`join(bc.proc.argv, "|") = "nc|-l|-p|4444"`, true},
		{`join(bc.proc.argv) = "nc,-l,-p,4444"`, true},
		{`concat(proc.name, ":", proc.pid) = "nc:200"`, true},
		{`concat(proc.name, bc.proc.script) exists`, false},
		{`getopt(proc.args, "lp:") in (l, p)`, true},
		{`getopt(proc.args, "lp:")[p] = 4444`, true},
		{`getopt(bc.proc.argv, "lp:")[p] = 4444`, true},
		{`getopt(proc.args, "lp:")[x] exists`, false},
		{`getopt(proc.args, "lp:") intersects (l, z)`, true},
		{`toupper(bc.proc.argv) intersects (NC)`, true},
		{`toupper(tolower(proc.name)) = NC`, true},
		{`b64(proc.cmdline) exists`, false},
		{`b64(bc.proc.argv[1]) exists`, false},
		{`proc.exepath endswith basename(proc.exepath)`, true},
		{`proc.name = val(proc.pname)`, false},
		{`proc.name != val(proc.pname)`, true},
		{`proc.pid > val(proc.ppid)`, true},
		{`proc.name in val(bc.proc.argv)`, true},
		{`proc.aname = val(proc.pname)`, true},
		// the right side of = is text, even where it looks like a field
		{`proc.name = proc.name`, false},
		// ancestors: any of them, or by number
		{`proc.aname = sshd`, true},
		{`proc.aname = nc`, false},
		{`proc.aname in (x, systemd)`, true},
		{`proc.aname != sshd`, true},
		{`proc.aname startswith ss`, true},
		{`proc.aname[0] = nc`, true},
		{`proc.aname[1] = bash`, true},
		{`proc.aname[2] = sshd`, true},
		{`proc.aname[3] = systemd`, true},
		{`proc.aname exists`, true},
		{`proc.apid = 50`, true},
		{`proc.apid = 200`, false},
		{`proc.apid in (7, 1)`, true},
		{`proc.apid[2] = 50`, true},
		{`proc.aexepath endswith /sshd`, true},
		{`proc.acmdline contains ssh`, true},
		{`proc.pname = bash and proc.pcmdline = bash and proc.pexe = -bash`, true},
		{`proc.ppid = 100`, true},
		{`proc.sname = bash`, false},
		{`proc.sid = 100`, true},
		{`bc.proc.lineage = "systemd>sshd>bash>nc"`, true},
		// flags are tested as bits, and are text
		{`thread.cap_effective contains CAP_SYS_ADMIN`, true},
		{`thread.cap_effective contains SYS_ADMIN`, true},
		{`thread.cap_effective contains CAP_SYS_MODULE`, false},
		{`thread.cap_effective icontains sys_admin`, true},
		{`thread.cap_effective contains sys_admin`, false},
		{`thread.cap_effective = "CAP_NET_ADMIN CAP_SYS_ADMIN"`, true},
		{`thread.cap_effective contains "CAP_NET_ADMIN CAP_SYS"`, true},
		{`thread.cap_effective contains allof (CAP_SYS_ADMIN, CAP_NET_ADMIN)`, true},
		{`thread.cap_effective contains oneof (CAP_SYS_ADMIN, CAP_NET_ADMIN)`, false},
		{`thread.cap_permitted contains CAP_SYS_ADMIN`, false},
		{`evt.arg.flags contains EXE_WRITABLE`, true},
		{`evt.arg.flags contains EXE_FROM_MEMFD`, false},
		// events
		{`evt.type = execve`, true},
		{`evt.type in (execve, execveat)`, true},
		{`evt.type = execveat`, false},
		{`evt.type != execve`, false},
		{`evt.type in (open, openat)`, false},
		{`not evt.type in (open, openat)`, true},
		{`evt.type startswith exec`, true},
		{`evt.dir = <`, true},
		{`evt.dir = >`, false},
		{`evt.type.is.execve = 1`, true},
		{`evt.type.is.open = 1`, false},
		{`evt.res = SUCCESS and evt.rawres >= 0`, true},
		{`evt.arg.exe = nc`, true},
		{`evt.arg.uid = root`, true},
		{`evt.arg.pid = 200`, true},
		{`evt.arg[1] = nc`, true},
		{`evt.source = syscall`, true},
		{`container.id = host`, true},
		{`container.id != host`, false},
		// environment, descriptors, quoting
		{`proc.env contains LD_PRELOAD`, true},
		{`proc.env[LD_PRELOAD] = /tmp/x.so`, true},
		{`proc.env[LD] exists`, false},
		{`bc.fd0.kind = socket and bc.fd0.rport = 4444 and bc.fd0.remote = 10.0.0.9`, true},
		{`proc.stdin.type = ipv4`, true},
		{`proc.cmdline = 'nc -l -p 4444'`, true},
		{"proc.cmdline\n  contains\n'-p'", true},
		{`proc.cmdline contains "it's"`, false},
		{`proc.cmdline contains "a\"b"`, false},
	}
	for _, tt := range tests {
		set := mustLoad(t, ruleFile("r", tt.cond))
		if got := len(matches(set, ev)) == 1; got != tt.want {
			t.Errorf("%s\n\tis %v, want %v", tt.cond, got, tt.want)
		}
		// the same under not, which the index must not confuse
		set = mustLoad(t, ruleFile("r", "not ("+tt.cond+")"))
		if got := len(matches(set, ev)) == 1; got == tt.want {
			t.Errorf("not (%s)\n\tis %v, want %v", tt.cond, got, !tt.want)
		}
	}
}

func TestEventTypes(t *testing.T) {
	p := execEvent().Proc
	events := map[string]*event.Event{
		"execve":   {Type: event.Exec, Proc: p, ExecInfo: &event.ExecInfo{}},
		"execveat": {Type: event.Exec, Proc: p, ExecInfo: &event.ExecInfo{At: true}},
		"clone":    {Type: event.Fork, Proc: p},
		"procexit": {Type: event.Exit, Proc: p, ExitInfo: &event.ExitInfo{Code: 3}},
		"prctl":    {Type: event.Comm, Proc: p, OldComm: "x"},
		"gap":      {Type: event.Gap, GapInfo: &event.GapInfo{N: 3}},
	}
	for name, ev := range events {
		for other := range events {
			set := mustLoad(t, ruleFile("r", "evt.type = "+other))
			if got := len(matches(set, ev)) == 1; got != (name == other) {
				t.Errorf("%s event and evt.type = %s: %v", name, other, got)
			}
		}
	}
	for _, alias := range []string{"fork", "vfork", "clone3"} {
		if len(matches(mustLoad(t, ruleFile("r", "evt.type in (open, "+alias+")")), events["clone"])) != 1 {
			t.Errorf("evt.type in (%s) does not match a fork", alias)
		}
		if len(matches(mustLoad(t, ruleFile("r", "evt.type != "+alias)), events["clone"])) != 0 {
			t.Errorf("evt.type != %s matches a fork", alias)
		}
	}
	for cond, name := range map[string]string{
		"bc.exit.code = 3": "procexit", "bc.proc.old_comm = x": "prctl", "bc.gap.n = 3": "gap", "bc.exec.at = true": "execveat",
	} {
		set := mustLoad(t, ruleFile("r", cond))
		for n, ev := range events {
			if got := len(matches(set, ev)) == 1; got != (n == name) {
				t.Errorf("%s for %s: %v", cond, n, got)
			}
		}
	}
}

func TestMatchingModes(t *testing.T) {
	set := mustLoad(t, ruleFile("first", "proc.name = nc")+ruleFile("second", "proc.exepath startswith /usr")+ruleFile("third", "proc.pid = 200"))
	for mode, want := range map[Matching]int{MatchAll: 3, MatchFirst: 1} {
		var got []string
		NewEngine(set, mode).Match(execEvent(), func(r *Rule) { got = append(got, r.Info().Name) })
		if len(got) != want || got[0] != "first" {
			t.Errorf("mode %d: %v", mode, got)
		}
	}
}

func TestStatus(t *testing.T) {
	text := ruleFile("live", "evt.type = execve and proc.name = x") +
		ruleFile("events", "evt.type in (open, openat) and proc.name = x") +
		ruleFile("fields", "evt.type = execve and container.image.repository = x") +
		ruleFile("partly", "evt.type = execve and proc.name = x or evt.type = open and fd.name = y") +
		ruleFile("never", "evt.num = 0 and proc.name = x") +
		ruleFile("off", "proc.name = x") + "  enabled: false\n" +
		ruleFile("foreign", "ka.verb = create") + "  source: k8s_audit\n" +
		ruleFile("exit", "bc.exit.code = 1")
	set := mustLoad(t, text)
	want := map[string]struct {
		status Status
		reason string
	}{
		"live": {Live, ""}, "events": {Waiting, "events open, openat"}, "fields": {Waiting, "container metadata"}, "partly": {Live, ""},
		"never": {Disabled, "its condition is never true"}, "off": {Disabled, "enabled is false"}, "foreign": {Waiting, "source k8s_audit"}, "exit": {Live, ""},
	}
	for _, r := range set.Rules() {
		w := want[r.Info().Name]
		if r.Status() != w.status || r.Reason() != w.reason {
			t.Errorf("%s is %s %q, want %s %q", r.Info().Name, r.Status(), r.Reason(), w.status, w.reason)
		}
	}
	if r, _ := set.Rule("exit"); r.Types() != event.TypesOf(event.Exit) {
		t.Errorf("exit is evaluated for %s", r.Types())
	}
	if got := set.Types(); len(got) != 2 || got[0] != event.Exec || got[1] != event.Exit {
		t.Errorf("types of the set: %v", got)
	}
}
