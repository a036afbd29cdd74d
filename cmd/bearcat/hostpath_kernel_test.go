package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/status"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

const hostRule = `
- rule: file of the host
  desc: a test
  condition: evt.type in (open, openat) and bc.path.host endswith /volume/f
  output: "%bc.path.host by %bc.proc.hostpath"
  priority: WARNING
`

// fileSeen is what a line of JSON says of a call's files.
type fileSeen struct {
	Type   string `json:"type"`
	Output string `json:"output"`
	Call   struct {
		Path  pathSeen `json:"path"`
		Path2 pathSeen `json:"path2"`
	} `json:"call"`
}

type pathSeen struct {
	Path string `json:"path"`
	Host string `json:"host_path"`
}

// TestPathsOnTheHost has a process in a mount namespace of its own work on files that the
// host has in other places.
func TestPathsOnTheHost(t *testing.T) {
	guest.Once(t)
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rules, []byte(hostRule), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	a := start(t, runOptions{rules: rules, args: []string{"--scope", s.scope(), "--events", "--output", "json"}})
	s.do("cd " + dir + ` && mkdir volume c tmp && mkfifo hold
cp "$(readlink -f "$(command -v sleep)")" volume/sleep
unshare -m --propagation private sh -ec '
mount --bind volume c
mount -t tmpfs none tmp
echo x > c/f
echo x > tmp/g
"$PWD"/c/sleep 0
mv c/f c/h
rm tmp/g
chmod 600 c/h
read wait < hold
' &`)
	defer s.do("echo > hold") // the mounts of a namespace can be read while it has a process
	a.find("the exec has the host's path", func(e *seen) bool {
		return e.Type == "exec" && e.Process.Exe.Path == dir+"/c/sleep" && e.Process.Exe.Host == dir+"/volume/sleep"
	})
	for what, ok := range map[string]func(f *fileSeen) bool{
		"the open": func(f *fileSeen) bool {
			return f.Type == "open" && f.Call.Path == pathSeen{dir + "/c/f", dir + "/volume/f"}
		},
		"the open of what the host does not see": func(f *fileSeen) bool { return f.Type == "open" && f.Call.Path == pathSeen{dir + "/tmp/g", ""} },
		"the close": func(f *fileSeen) bool {
			return f.Type == "close" && f.Call.Path == pathSeen{dir + "/c/f", dir + "/volume/f"}
		},
		"the rename": func(f *fileSeen) bool {
			return f.Type == "rename" && f.Call.Path == pathSeen{dir + "/c/f", dir + "/volume/f"} && f.Call.Path2 == pathSeen{dir + "/c/h", dir + "/volume/h"}
		},
		"the chmod": func(f *fileSeen) bool {
			return f.Type == "chmod" && f.Call.Path == pathSeen{dir + "/c/h", dir + "/volume/h"}
		},
		"the removal of what the host does not see": func(f *fileSeen) bool { return f.Type == "unlink" && f.Call.Path == pathSeen{dir + "/tmp/g", ""} },
		"the host's own open":                       func(f *fileSeen) bool { return f.Type == "open" && f.Call.Path == pathSeen{dir + "/volume/sleep", ""} },
	} {
		if what == "the close" && guest.Name() == "" {
			continue // not every machine lets programs be attached to functions
		}
		a.until(what+" is told as it is", func() bool {
			for _, l := range a.lines() {
				var f fileSeen
				if json.Unmarshal([]byte(l.text), &f) == nil && ok(&f) {
					return true
				}
			}
			return false
		})
	}
	alert := a.find("the rule matches", func(e *seen) bool { return e.Rule == "file of the host" })
	if alert.Event == nil {
		t.Error("the alert has no event")
	}
	st, err := status.Query(a.socket)
	if err != nil {
		t.Fatal(err)
	}
	if h := st.HostPaths; h == nil || h.Found == 0 || h.Hidden == 0 || h.Asked < h.Found+h.Hidden || h.Reads == 0 {
		t.Errorf("the account is %+v", h)
	}
}
