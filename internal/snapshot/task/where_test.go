package task

import (
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
)

func TestWhere(t *testing.T) {
	p := &event.Process{Key: event.Key{Pid: 7, Start: 1}, Comm: "nginx", Image: (&event.Image{Exe: event.File{Path: "/usr/sbin/nginx"}}).Seal()}
	f := &File{OpenFile: call.OpenFile{FD: &event.FD{Num: 3, Kind: event.StdioSocket, Sock: &event.Socket{Family: "ipv4", Proto: "tcp", Local: "10.0.0.1",
		LocalPort: 80, Remote: "10.0.0.2", RemotePort: 40000}}}, Proc: p}
	for text, want := range map[string]bool{
		"":                                      true,
		"proc.name = nginx":                     true,
		"proc.name = nginx and fd.type = ipv4":  true,
		"fd.lport = 80 or proc.name = bash":     true,
		"fd.rport = 443":                        false,
		"not proc.exepath startswith /usr/sbin": false,
	} {
		w, err := WhereFile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := w.File(f); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	w, err := WhereProcess("proc.exepath = /usr/sbin/nginx")
	if err != nil || !w.Process(p) {
		t.Errorf("the process is not taken: %v", err)
	}
	for text, want := range map[string]string{
		"proc.nmae = x":      "did you mean proc.name?",
		"proc.name =":        "error",
		"(proc.name = x":     "error",
		"proc.name = x\nand": "one line",
		"evt.type = connect": "never true",
	} {
		if _, err := WhereProcess(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

// Places are those in the condition, whatever it is put into.
func TestWhereShowsThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"proc.nmae = x":                       "--where:1:1: error: unknown field proc.nmae",
		"proc.name = x or proc.nmae = y":      "--where:1:18: error: unknown field proc.nmae",
		"proc.name = \"日本\" or proc.nmae = y": "    proc.name = \"日本\" or proc.nmae = y\n" + strings.Repeat(" ", 8+22) + "^^^^^^^^^",
		"proc.name\t= x or\tproc.nmae = y":    "    proc.name = x or proc.nmae = y\n" + strings.Repeat(" ", 8+17) + "^^^^^^^^^",
	} {
		_, err := WhereProcess(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), `rule "where"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
