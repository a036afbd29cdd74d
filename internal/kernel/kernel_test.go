package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"6.12.0-1-amd64": {6, 12}, "5.10.0-46-cloud-amd64": {5, 10}, "7.3.4+deb13": {7, 3}, "6.1": {6, 1}, "7": {7, 0}, "": {}, "x.y": {},
	} {
		if got := ParseVersion(in); got != want {
			t.Errorf("%q is read as %v, want %v", in, got, want)
		}
	}
	v := Version{6, 1}
	if !v.AtLeast(5, 19) || !v.AtLeast(6, 1) || v.AtLeast(6, 2) || v.AtLeast(7, 0) {
		t.Error("6.1 is compared wrongly")
	}
}

func TestParsePossible(t *testing.T) {
	for in, want := range map[string]int{"0": 1, "0-7": 8, "0-3,8-11": 12, "0,2": 3} {
		if got, err := parsePossible(in); err != nil || got != want {
			t.Errorf("%q gives %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "0-", "-5", "0-99999999"} {
		if got, err := parsePossible(in); err == nil {
			t.Errorf("%q is accepted as %d", in, got)
		}
	}
}

func TestClocks(t *testing.T) {
	a := BootNow()
	wall := time.Unix(0, int64(BootNow())+WallOffset())
	if d := time.Since(wall); d < -50*time.Millisecond || d > 50*time.Millisecond {
		t.Errorf("the boot clock and its offset are %v off the wall clock", d)
	}
	if b := BootNow(); b < a {
		t.Errorf("the boot clock went back from %d to %d", a, b)
	}
	if id, err := BootID(); err != nil || len(id) != 36 {
		t.Errorf("the boot id is %q, %v", id, err)
	}
}

// Whatever is lost of any stream, what is seen and what is in holes add up to
// what was produced, and no number is in both.
func TestStreamsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStreams()
		type key struct {
			cpu    uint16
			stream uint8
		}
		produced, accounted := map[key]uint64{}, map[key]map[uint64]bool{}
		var lost uint64
		note := func(k key, seq uint64) {
			if accounted[k] == nil {
				accounted[k] = map[uint64]bool{}
			}
			if accounted[k][seq] {
				t.Fatalf("number %d of %v is accounted for twice", seq, k)
			}
			accounted[k][seq] = true
		}
		hole := func(k key, h Hole) {
			for n := range h.N() {
				note(k, h.From+n)
			}
			lost += h.N()
		}
		for range rapid.IntRange(0, 200).Draw(t, "records") {
			k := key{uint16(rapid.IntRange(0, 2).Draw(t, "cpu")), uint8(rapid.IntRange(0, 2).Draw(t, "stream"))}
			produced[k]++
			if rapid.Bool().Draw(t, "arrives") {
				hole(k, s.Seen(k.cpu, k.stream, produced[k]))
				note(k, produced[k])
			}
		}
		for k, n := range produced {
			hole(k, s.End(k.cpu, k.stream, n))
			hole(k, s.End(k.cpu, k.stream, n)) // saying it twice changes nothing
			if uint64(len(accounted[k])) != n {
				t.Fatalf("%v: %d of %d numbers are accounted for", k, len(accounted[k]), n)
			}
		}
		if s.Lost() != lost {
			t.Fatalf("the account says %d are lost, the holes %d", s.Lost(), lost)
		}
	})
}

func TestChecks(t *testing.T) {
	if c := checkVersion("5.4.0"); c.State != Missing || c.Advice == "" {
		t.Errorf("5.4 is %+v", c)
	}
	if c := checkVersion("7.3.4"); c.State != OK {
		t.Errorf("7.3 is %+v", c)
	}
	for text, want := range map[string]State{
		"": OK, "[none] integrity confidentiality": OK, "none [integrity] confidentiality": OK, "none integrity [confidentiality]": Missing,
	} {
		if c := checkLockdown(text); c.State != want {
			t.Errorf("lockdown %q is %+v", text, c)
		}
	}
	if c := checkJIT("0"); c.State != Limited {
		t.Errorf("without a compiler: %+v", c)
	}
	if err := Fatal(checkCapabilities(0)); err == nil || !strings.Contains(err.Error(), "CAP_BPF") || !strings.Contains(err.Error(), "CAP_PERFMON") {
		t.Errorf("without capabilities: %v", err)
	}
	if err := Fatal(checkCapabilities(1 << 21)); err != nil { // CAP_SYS_ADMIN
		t.Errorf("CAP_SYS_ADMIN is not enough: %v", err)
	}
	if err := Fatal(checkCapabilities(1<<38 | 1<<39)); err != nil {
		t.Errorf("CAP_BPF and CAP_PERFMON are not enough: %v", err)
	}
}

func TestVerdict(t *testing.T) {
	err := fmt.Errorf("load program: %w", errors.New("operation not permitted (MEMLOCK may be too low, consider x)"))
	if got := Verdict(err); got != "load program: operation not permitted" {
		t.Errorf("the verdict is %q", got)
	}
	if got := Verdict(errors.New("a\nlog\nR1 is bad\n")); got != "R1 is bad" {
		t.Errorf("the verdict is %q", got)
	}
}

func TestScopesThatAreNot(t *testing.T) {
	if _, err := PidScope(1 << 30); err == nil {
		t.Error("a process that cannot be is watched")
	}
	if _, err := CgroupScope("/no/such/group"); err == nil {
		t.Error("a control group that is not there is watched")
	}
	if _, err := CgroupScope(os.TempDir()); err == nil {
		t.Error("a folder is watched as a control group")
	}
	for _, id := range []string{"", "abc", "*bcdef", "../../etc"} {
		if _, err := ContainerScope(id); err == nil {
			t.Errorf("container %q is watched", id)
		}
	}
	if _, err := NewTransport(5000, 4096); err == nil || !strings.Contains(err.Error(), "power of two") {
		t.Errorf("a ring of 5000 bytes: %v", err)
	}
}

func TestStamp(t *testing.T) {
	if stamp([]byte{1, 2, 3}) != 0 || stamp([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9}) != 1 {
		t.Error("stamps are read wrongly")
	}
}
