package rule

import (
	"reflect"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestOpens(t *testing.T) {
	for cond, want := range map[string]Opens{
		"evt.type = execve": {},
		"evt.type = openat": {true, true, true},
		"evt.type = openat and evt.is_open_write = true":                          {false, true, true},
		"evt.type in (open, openat) and evt.is_open_write = true and fd.num >= 0": {false, true, false},
		"evt.type in (open, openat) and evt.is_open_read = true and fd.num >= 0":  {true, true, false},
		"evt.type = openat and evt.failed = true":                                 {false, false, true},
		"evt.type = openat and not evt.res = SUCCESS":                             {false, false, true},
		"evt.type = openat and evt.rawres < 0":                                    {false, false, true},
		"evt.type = openat and evt.is_open_create = true":                         {false, true, false},
		"evt.type = openat and (evt.is_open_create = true or evt.res = EACCES)":   {false, true, true},
		"evt.type = rename and evt.is_open_read = true":                           {},
	} {
		if got := mustLoad(t, ruleFile("r", cond)).Opens(); got != want {
			t.Errorf("%s: %+v, want %+v", cond, got, want)
		}
	}
}

// TestOpensHideNothing matches random conditions against opens of all kinds:
// a rule that matches one must have asked for its kind.
func TestOpensHideNothing(t *testing.T) {
	atoms := []string{"evt.is_open_read = true", "evt.is_open_write = true", "evt.is_open_write = false", "evt.is_open_create = true", "fd.num >= 0",
		"fd.num < 0", "fd.num = 3", "fd.num != -1", "evt.rawres > -1", "evt.rawres <= 0", "evt.failed = true", "evt.failed = false", "evt.res = SUCCESS", "evt.res != SUCCESS",
		"evt.res in (ENOENT, EACCES)", "fd.name startswith /etc", "proc.name = nc", "evt.type = openat", "fd.num exists", "evt.arg.flags contains O_CREAT", "bc.errno exists"}
	rapid.Check(t, func(t *rapid.T) {
		cond := condOf(t, atoms, 3)
		set, rep := Load([]File{{Name: "r", Data: []byte(ruleFile("r", cond))}}, Options{})
		if rep.Errors() > 0 {
			t.Fatalf("%s: %v", cond, rep.Err())
		}
		flags := rapid.SampledFrom([]uint64{0, unix.O_WRONLY, unix.O_RDWR, unix.O_CREAT, unix.O_TRUNC, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC}).Draw(t, "flags")
		ret := rapid.SampledFrom([]int64{0, 3, -2, -13}).Draw(t, "ret")
		ev := &event.Event{Type: event.Open, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("openat"), Ret: ret,
			Args: [6]uint64{0, 0, flags}, Path: &event.FileRef{Raw: "/etc/x", File: event.File{Path: "/etc/x"}, Created: ret >= 0 && flags&unix.O_CREAT != 0}}}
		if ret >= 0 {
			ev.Call.FD = &event.FD{Num: int32(ret), Kind: event.StdioFile, File: ev.Call.Path.File}
		}
		o := set.Opens()
		asked := o.Read
		switch {
		case ret < 0:
			asked = o.Failed
		case flags&(3|unix.O_CREAT|unix.O_TRUNC) != 0:
			asked = o.Write
		}
		if len(matches(set, ev)) > 0 && !asked {
			t.Fatalf("%s matches flags %#x, result %d, and asks for %+v", cond, flags, ret, o)
		}
	})
}

func condOf(t *rapid.T, atoms []string, depth int) string {
	kind := rapid.IntRange(0, 3).Draw(t, "kind")
	if depth == 0 || kind == 0 {
		return rapid.SampledFrom(atoms).Draw(t, "atom")
	}
	if kind == 1 {
		return "not (" + condOf(t, atoms, depth-1) + ")"
	}
	parts := []string{"(" + condOf(t, atoms, depth-1) + ")", "(" + condOf(t, atoms, depth-1) + ")"}
	return strings.Join(parts, []string{" and ", " or "}[kind-2])
}

func TestOpenPaths(t *testing.T) {
	names := func(list ...string) *event.PathFilter {
		f := &event.PathFilter{}
		for _, n := range list {
			switch {
			case n == "..":
				f.DotDot = true
			case strings.HasPrefix(n, "."):
				f.Ext(n)
			case strings.HasPrefix(n, "/"):
				first, second, _ := strings.Cut(n[1:], "/")
				f.Top(first, second)
			default:
				f.Name(n)
			}
		}
		return f
	}
	for cond, want := range map[string]*event.PathFilter{
		"proc.name = nc":                            nil,
		"fd.name = /etc/shadow":                     names("shadow"),
		"fd.name in (/etc/shadow, /etc/sudoers)":    names("shadow", "sudoers"),
		"fd.name startswith /etc/":                  names("/etc"),
		"fd.name startswith /etc":                   nil,
		"fd.name startswith /etc/ssh":               names("/etc"),
		"fd.name startswith /root/.ssh/id":          names("/root/.ssh"),
		"fd.name pmatch (/etc/ssh, /var/lib/x/y)":   names("/etc/ssh", "/var/lib"),
		"fd.name pmatch (/home/*/x)":                names("/home"),
		"fd.name pmatch (/ho*/x)":                   nil,
		"fd.name glob '/home/*/.ssh/*'":             names("/home"),
		"fd.name contains .ssh":                     nil,
		"fd.name endswith .php":                     names(".php"),
		"fd.name endswith /authorized_keys":         names("authorized_keys"),
		"fd.name endswith _history":                 {Tails: map[string]bool{"tory": true}},
		"fd.name endswith ory":                      nil,
		"fd.filename endswith release_agent":        {Tails: map[string]bool{"gent": true}},
		"fd.name contains /.config/autostart/":      {Dirs: map[string]bool{"autostart": true}},
		"fd.name contains /.config/a":               {Dirs: map[string]bool{".config": true}},
		"fd.name contains /.ssh":                    nil,
		"fd.name contains //":                       nil,
		"bc.path.name = /etc/shadow":                names("shadow"),
		"evt.abspath = /etc/shadow":                 names("shadow"),
		"evt.abspath.dst = /etc/shadow":             nil,
		"bc.path.name startswith anyof (/a/, /b/c)": names("/a", "/b"),
		"bc.path.name startswith anyof (/a/, b)":    nil,
		"bc.path.name endswith allof (.php, /a.b)":  func() *event.PathFilter { f := names(".php"); f.Name("a.b"); return f }(),
		"fd.filename in (.bashrc, .profile)":        func() *event.PathFilter { f := names(); f.Name(".bashrc"); f.Name(".profile"); return f }(),
		"fd.directory in (/root, /etc/sudoers.d)":   names("/root", "/etc/sudoers.d"),
		"fd.directory = /":                          nil,
		"fd.nameraw contains ../":                   names(".."),
		"not fd.name = /etc/shadow":                 nil,
		"fd.name != /etc/shadow":                    nil,
		"fd.name = /etc/a and proc.name = nc":       names("a"),
		"fd.name = /etc/a or proc.name = nc":        nil,
		"fd.name = /etc/a or fd.directory = /root":  names("a", "/root"),
		"fd.name startswith /etc/ and fd.name = /b": names("b"),
		"fd.name = /etc/a and evt.failed = true":    {},
		"tolower(fd.name) = /etc/shadow":            nil,
		"fd.name iglob /ETC/*":                      nil,
	} {
		got := mustLoad(t, ruleFile("r", "evt.type = openat and ("+cond+")")).OpenPaths().Read
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", cond, got, want)
		}
	}
}

// TestOpenPathsHideNothing matches random conditions against opens of random
// files: a rule that matches one must let it pass.
func TestOpenPathsHideNothing(t *testing.T) {
	components := []string{"etc", "ssh", "shadow", "home", "a", ".ssh", "id_rsa", "x.php", ".bashrc", "b.tar.gz", "root", "..", strings.Repeat("long", 12) + ".php"}
	path := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(components), 1, 4).Draw(t, "components"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		atoms := []string{"proc.name = nc", "proc.name != nc", "evt.is_open_read = true", "evt.failed = true", "fd.name exists"}
		for range rapid.IntRange(1, 6).Draw(t, "atoms") {
			p := path.Draw(t, "value")
			cutAt := rapid.IntRange(1, len(p)).Draw(t, "cut")
			atoms = append(atoms, rapid.SampledFrom([]string{
				"fd.name = " + p, "fd.name != " + p, "fd.name in (" + p + ", /etc/x)", "fd.name startswith " + p[:cutAt], "fd.name endswith " + p[cutAt-1:],
				"fd.name contains " + p[cutAt-1:], "fd.name pmatch (" + p + ")", "fd.name pmatch (" + p[:cutAt] + "*)", "fd.name glob '" + p[:cutAt] + "*'", "fd.directory = " + p,
				"fd.directory startswith " + p[:cutAt], "fd.filename = " + p[strings.LastIndexByte(p, '/')+1:], "fd.filename endswith " + p[strings.LastIndexByte(p, '.')+1:],
				"bc.path.name = " + p, "bc.path.name startswith anyof (" + p[:cutAt] + ", /a/)", "bc.path.name endswith anyof (" + p[cutAt-1:] + ", hadow)", "fd.filename endswith " + p[len(p)-1-min(len(p)-2, 4):],
				"fd.name startswith allof (" + p[:cutAt] + ", /e)", "fs.path.name contains " + p[cutAt-1:], "bc.path.name contains anyof (" + p + "/, /a/)", "evt.abspath = " + p, "bc.file.target endswith " + p[cutAt-1:],
				"fd.nameraw contains ../", "basename(fd.name) = a", "fd.name in (\"" + p + "\")",
			}).Draw(t, "atom"))
		}
		cond := "evt.type = openat and (" + condOf(t, atoms, 3) + ")"
		set, rep := Load([]File{{Name: "r", Data: []byte(ruleFile("r", cond))}}, Options{})
		if rep.Errors() > 0 {
			t.Skip(rep.Err())
		}
		raw, name := path.Draw(t, "raw"), path.Draw(t, "path")
		ret := rapid.SampledFrom([]int64{3, -2}).Draw(t, "ret")
		ev := &event.Event{Type: event.Open, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("openat"), Ret: ret,
			Path: &event.FileRef{Raw: raw, File: event.File{Path: name}}}}
		write := rapid.Bool().Draw(t, "write")
		if write {
			ev.Call.Args[2] = 1
		}
		f := set.OpenPaths().Failed
		if ret >= 0 {
			ev.Call.FD = &event.FD{Num: int32(ret), Kind: event.StdioFile, File: ev.Call.Path.File}
			if f = set.OpenPaths().Read; write {
				f = set.OpenPaths().Write
			}
		}
		if len(matches(set, ev)) > 0 && f != nil && !f.Pass(raw, name) {
			t.Fatalf("%s matches %s as %s, result %d, and asks for %+v", cond, name, raw, ret, f)
		}
	})
}
