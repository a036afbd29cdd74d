package hist

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// during gathers while a command runs. A kernel that is not a guest may have no way to
// look at functions: then it must say so, and nil is returned.
func during(t *testing.T, o Options, args ...string) *Result {
	t.Helper()
	guest.NeedKernel(t)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	o.Comm = args[0]
	said, failed := []byte(nil), errors.New("it did not run")
	o.ready = func() {
		said, failed = exec.Command(args[0], args[1:]...).CombinedOutput()
		stop()
	}
	r, err := Gather(ctx, o)
	var missing *FunctionError
	if guest.Name() == "" && errors.As(err, &missing) {
		if !strings.Contains(err.Error(), "CONFIG_KPROBES") || missing.Kprobe == nil {
			t.Errorf("what is missing is not told: %v", err)
		}
		t.Log(err)
		return nil
	}
	if err != nil || failed != nil {
		t.Fatalf("%v; %s: %v: %s", err, args[0], failed, said)
	}
	return r
}

func rowOf(r *Result, group string) Row {
	for _, row := range r.Rows {
		if row.Group == group {
			return row
		}
	}
	return Row{}
}

// TestFault has a program touch 1 MiB for the first time: 256 pages.
func TestFault(t *testing.T) {
	k, _ := KindNamed("fault")
	for _, probes := range []bool{false, true} {
		r := during(t, Options{Kind: k, By: ByOwn, probes: probes}, "dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=1")
		if r == nil {
			continue
		}
		write, copied := rowOf(r, "anon write"), rowOf(r, "private copy of a file")
		if write.Count < 256 || write.Count > 600 || write.P50 == 0 || write.Max > uint64(r.Took*1e9) {
			t.Errorf("probes %v: %+v, want 256 faults and some", probes, write)
		}
		if copied.Count == 0 || rowOf(r, "file read").Count == 0 {
			t.Errorf("probes %v: a program that starts reads its file and writes its data: %+v", probes, r.Rows)
		}
		want := map[bool]string{false: "fentry and fexit of handle_mm_fault", true: "kprobes of handle_mm_fault"}[probes]
		if r.Sources[0] != want {
			t.Errorf("the source is %q, want %q", r.Sources[0], want)
		}
	}
}

// TestFunction counts the reads of a program, byte by byte.
func TestFunction(t *testing.T) {
	k, err := FunctionKind("vfs_read")
	if err != nil {
		t.Fatal(err)
	}
	if r := during(t, Options{Kind: k, By: ByProcess}, "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200"); r != nil {
		if len(r.Rows) != 1 || r.Rows[0].Count < 200 || !strings.HasPrefix(r.Rows[0].Group, "dd[") {
			t.Errorf("%+v, want 200 calls and some of dd", r.Rows)
		}
	}
	if k, err = FunctionKind("no_such_function_here"); err != nil {
		t.Fatal(err)
	}
	var missing *FunctionError
	if _, err = Gather(context.Background(), Options{Kind: k, By: ByAll}); !errors.As(err, &missing) {
		t.Errorf("a function that there is not: %v", err)
	}
}

// TestFunctionOfPrograms measures a function that the programs themselves call, as all
// that use maps do: they must not get into their own way.
func TestFunctionOfPrograms(t *testing.T) {
	guest.Require(t)
	k, err := FunctionKind("htab_map_update_elem")
	if err != nil {
		t.Fatal(err)
	}
	r := during(t, Options{Kind: k, By: ByProcess}, "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=20")
	if r.Took <= 0 || r.Lost > 0 {
		t.Errorf("%+v", r)
	}
}
