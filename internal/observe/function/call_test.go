package function

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestLinesOfFunction(t *testing.T) {
	for line, want := range map[string]Call{
		"             cat-4242    [001] ..... 12345.678901: vfs_read <-ksys_read":           {At: 12345678901 * time.Microsecond, Function: "vfs_read", Caller: "ksys_read", CPU: 1, Tid: 4242, Comm: "cat"},
		"   a-b c [x]-17      [000] d.h1. 1.000002: try_to_wake_up <-default_wake_function": {At: 1000002 * time.Microsecond, Function: "try_to_wake_up", Caller: "default_wake_function", Tid: 17, Comm: "a-b c [x]"},
		"           <...>-99      [003] .... 5.5: fn.isra.0 [mod] <-caller [mod]":           {},
	} {
		c, ok := parse(line, false)
		if want.Function == "" {
			continue
		}
		if !ok || c == nil || *c != want {
			t.Errorf("%q is %+v, want %+v", line, c, want)
		}
	}
	for _, line := range []string{"", "# tracer: function", "CPU:1 [LOST 30 EVENTS]"} {
		if c, ok := parse(line, false); c != nil || !ok {
			t.Errorf("%q is %+v, %v", line, c, ok)
		}
	}
	for _, line := range []string{"nonsense", "cat-1 [0] vfs_read"} {
		if c, ok := parse(line, false); c != nil || ok {
			t.Errorf("%q is %+v, %v", line, c, ok)
		}
	}
}

func TestLinesOfFunctionGraph(t *testing.T) {
	for line, want := range map[string]Call{
		"   12.345678 |   1)    cat-4242    |   1.234 us    |  vfs_read();":            {At: 12345678 * time.Microsecond, Function: "vfs_read", Took: 1234, CPU: 1, Tid: 4242, Comm: "cat"},
		"   12.345678 |   0)  my-p-7     | ! 123.456 us  |  } /* vfs_write */":         {At: 12345678 * time.Microsecond, Function: "vfs_write", Took: 123456, Tid: 7, Comm: "my-p"},
		"    1.000000 |   0)   dd-8      |   0.100 us    |  vfs_read(); /* ret=0x1 */": {At: time.Second, Function: "vfs_read", Took: 100, Tid: 8, Comm: "dd"},
		"    1.000000 |   0)   dd-8      |   0.100 us    |  } /* vfs_read ret=0x1 */":  {At: time.Second, Function: "vfs_read", Took: 100, Tid: 8, Comm: "dd"},
		"    1.000000 |   0)   dd-8      | @ 100001.5 us |  vfs_read [mod]();":         {At: time.Second, Function: "vfs_read", Took: 100001500, Tid: 8, Comm: "dd"},
	} {
		c, ok := parse(line, true)
		if !ok || c == nil || *c != want {
			t.Errorf("%q is %+v, want %+v", line, c, want)
		}
	}
	for _, line := range []string{"   12.345678 |   1)    cat-4242    |               |  vfs_read() {", " ------------------------------------------", " 0)  cat-1  =>  dd-2", "# x"} {
		if c, ok := parse(line, true); c != nil || !ok {
			t.Errorf("%q is %+v, %v", line, c, ok)
		}
	}
	if c, ok := parse("what is this", true); c != nil || ok {
		t.Errorf("%+v, %v", c, ok)
	}
}

func TestNames(t *testing.T) {
	known := map[string]bool{"vfs_read": true, "vfs_write": true, "tcp_v4_rcv": true, "do_exit.isra.0": true}
	for name, want := range map[string]int{"vfs_*": 2, "vfs_read": 1, "*rcv": 1} {
		if n, err := check([]string{name}, known); err != nil || n != want {
			t.Errorf("%q comes to %d, %v", name, n, err)
		}
	}
	for name, want := range map[string]string{"do_exit": "did you mean do_exit.isra.0?", "nothing": "inlined", "a b": "no name", "[a]": "no name"} {
		if _, err := check([]string{name}, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func TestSums(t *testing.T) {
	s := Sums{}
	for _, c := range []Call{{Function: "a", Caller: "x", Tid: 1, Comm: "p", Took: 3}, {Function: "a", Caller: "y", Tid: 1, Comm: "p", Took: 5}, {Function: "a", Caller: "y", Tid: 2, Comm: "q"}, {Function: "b", Tid: 1, Comm: "p"}} {
		s.Add(&c)
	}
	l := s.List()
	if len(l) != 2 || l[0].Calls != 3 || l[0].Took != 8 || l[0].Longest != 5 || l[0].Caller != "y" || l[0].CallerCalls != 2 || l[0].Process != "p[1]" || l[0].ProcessCalls != 2 {
		t.Errorf("%+v", l[0])
	}
	var b bytes.Buffer
	if err := (&Call{At: time.Second, Function: "vfs_read", Caller: "ksys_read", Comm: "cat", Tid: 4}).WriteText(&b, strings.ToUpper); err != nil || !strings.Contains(b.String(), "1.000000 CAT") || !strings.Contains(b.String(), "VFS_READ < KSYS_READ") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("             cat-4242    [001] ..... 12345.678901: vfs_read <-ksys_read", false)
	f.Add("   12.345678 |   1)    cat-4242    |   1.234 us    |  vfs_read();", true)
	f.Fuzz(func(_ *testing.T, line string, graph bool) {
		if c, _ := parse(line, graph); c != nil {
			s := Sums{}
			s.Add(c)
			_ = c.WriteText(&bytes.Buffer{}, strings.ToLower)
		}
	})
}
