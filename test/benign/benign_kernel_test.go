// Package benign does ordinary work in a guest under Bearcat with the rules that
// ship, and wants no alert of Warning or above, except those that a scenario
// names with a reason. The work is a table in work_kernel_test.go.
//
// make test-benign runs it on several kernels and prints the table of results;
// make test runs it on one.
package benign

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"github.com/bearcat-hids/bearcat/test/scenario"
)

// work is something that people and machines do all day.
type work struct {
	name string
	// needs are programs without which it is skipped.
	needs []string
	scenario.Script
	// justified are rules that alert at Warning or above and are right to, as
	// the comment beside them says.
	justified []string
}

// quiet are the priorities that are no alarm.
var quiet = []string{"Notice", "Informational", "Debug"}

func TestOrdinaryWork(t *testing.T) {
	guest.Require(t)
	if os.Getenv(guest.Everywhere) == "" && guest.Name() != "6.12" {
		t.Skip("runs on 6.12 here, and on more kernels by make test-benign")
	}
	scenario.Network(t)
	unpackServers(t)
	agent := scenario.Start(t)
	for _, w := range ordinaryWork() {
		t.Run(w.name, func(t *testing.T) { w.run(t, agent) })
	}
}

func (w *work) run(t *testing.T, agent *scenario.Agent) {
	result, said := "pass", []string{}
	defer func() {
		if t.Failed() {
			result = "FAIL"
		}
		t.Logf("| %s | %s | %s | %s |", w.name, guest.Name(), strings.Join(said, ", "), result)
	}()
	if why := scenario.Missing(w.needs); why != "" {
		result = "skipped: " + why
		t.Skip(why)
	}
	var printed string
	alerts, err := agent.Do(func() error {
		var err error
		printed, err = w.Script.Run(t)
		return err
	})
	if err != nil {
		t.Errorf("the work itself failed: %v\n%s", err, printed)
	}
	for _, a := range alerts {
		if strings.Contains(a.Output, hiddenByAttack) {
			continue
		}
		if !slices.Contains(said, a.Rule) {
			said = append(said, a.Rule)
		}
		if !slices.ContainsFunc(quiet, func(q string) bool { return strings.EqualFold(q, a.Priority) }) && !slices.Contains(w.justified, a.Rule) {
			t.Errorf("%s: %s", a.Priority, a.Output)
		}
	}
}

// hiddenByAttack is the module of an attack that may have run in this guest before, and that
// stays for as long as the guest lives: it is found again wherever modules are loaded.
const hiddenByAttack = "scenario_k4"

// unpackServers puts what tools/deps/servers.sh has fetched into the guest, whose files are its
// own; on the machine itself nothing of it is installed.
func unpackServers(t *testing.T) {
	t.Helper()
	debs, err := filepath.Glob("../../bin/debs/*.deb")
	if err != nil {
		t.Fatal(err)
	}
	for _, deb := range debs {
		// tar keeps /lib and the like, which are links, as they are
		out, err := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C /`, "sh", deb).CombinedOutput()
		if err != nil {
			t.Fatalf("unpacking %s: %v: %s", deb, err, out)
		}
	}
	if len(debs) == 0 {
		return
	}
	if out, err := exec.Command("ldconfig").CombinedOutput(); err != nil {
		t.Fatalf("ldconfig: %v: %s", err, out)
	}
	passwd, err := os.OpenFile("/etc/passwd", os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer passwd.Close()
	text, err := io.ReadAll(passwd)
	if err == nil && !bytes.Contains(text, []byte("\nsshd:")) {
		_, err = passwd.WriteString("sshd:x:990:65534::/run/sshd:/usr/sbin/nologin\n")
	}
	if err != nil {
		t.Fatalf("giving the guest an account for sshd: %v", err)
	}
}
