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
