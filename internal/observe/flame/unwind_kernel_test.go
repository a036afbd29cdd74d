package flame

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// chainC has functions that call each other through qsort of the C library, none of
// them with a frame pointer. What is behind a call keeps each from jumping to the next.
const chainC = `
#include <stdlib.h>
#include <string.h>
#include <time.h>
volatile unsigned long sum;
static int sleeps;
#define NEXT __attribute__((noinline)) static int
NEXT chain_leaf(int n) {
	struct timespec ts = { 0, 5000000 };
	if (sleeps)
		nanosleep(&ts, 0);
	else
		for (int i = 0; i < 3000000; i++)
			sum += i ^ n;
	return n;
}
NEXT chain_five(int n) { int r = chain_leaf(n + 5); sum++; return r; }
NEXT chain_four(int n) { char b[3000]; memset(b, n, sizeof b); int r = chain_five(n + b[n & 1023]); sum += b[r & 1023]; return r; }
NEXT chain_three(int n) { int r = chain_four(n + 3); sum++; return r; }
int chain_compare(const void *a, const void *b) { int r = chain_three(*(int *)a); sum++; return r - *(int *)b; }
NEXT chain_two(int n) { int a[] = { n, 3, 1, 2 }; qsort(a, 4, sizeof *a, chain_compare); sum += a[0]; return a[1]; }
NEXT chain_one(int n) { int r = chain_two(n + 1); sum++; return r; }
int main(int argc, char **argv) {
	(void)argv;
	sleeps = argc > 1;
	for (int i = 0; !sleeps || i < 40; i++)
		sum += chain_one((int)sum & 7);
	return 0;
}
`

// oddC has a handler of signals on a stack of its own, in a thread, and a stack that is
// too deep.
const oddC = `
#include <pthread.h>
#include <signal.h>
volatile unsigned long sum, deep_sum;
#define NEXT __attribute__((noinline)) static
NEXT void burn_in_signal(void) { for (int i = 0; i < 3000000; i++) sum += i; }
static void on_signal(int s) { burn_in_signal(); sum += s; }
NEXT void thread_caller(void) { raise(SIGUSR1); sum++; }
static void *thread_main(void *p) {
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	sigaltstack(&alternate, 0);
	sigaction(SIGUSR1, &a, 0);
	for (;;)
		thread_caller();
	return p;
}
NEXT void burn_deep(void) { for (int i = 0; i < 3000000; i++) deep_sum += i; }
NEXT int deep(int n) { if (n) { int r = deep(n - 1); deep_sum++; return r + 1; } burn_deep(); return (int)deep_sum; }
int main(void) {
	pthread_t t;
	pthread_create(&t, 0, thread_main, 0);
	for (;;)
		deep_sum += deep(200);
}
`

// build builds a program without frame pointers.
func build(t *testing.T, program string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "c.c"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "bc-chain")
	if out, err := exec.Command(gcc, "-O2", "-fomit-frame-pointer", "-pthread", "-o", exe, filepath.Join(dir, "c.c")).CombinedOutput(); err != nil {
		t.Skipf("gcc does not work here: %v %s", err, out)
	}
	return exe
}

// whole is the part of the weight of a folded result that went down the whole chain.
func whole(t *testing.T, r *Result, leaf ...string) float64 {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteFolded(&b); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"main", "chain_one", "chain_two", "qsort*", "chain_compare", "chain_three", "chain_four", "chain_five", "chain_leaf"}, leaf...)
	through, all := 0.0, 0.0
	for line := range strings.Lines(b.String()) {
		frames := strings.Split(line[:strings.LastIndexByte(line, ' ')], ";")
		weight := 0.0
		if n, err := parseWeight(line); err == nil {
			weight = n
		}
		next := 0
		for _, f := range frames {
			// the C library's own have other names around these
			if next < len(want) && (f == want[next] || strings.HasSuffix(want[next], "*") && strings.Contains(f, strings.Trim(want[next], "*"))) {
				next++
			}
		}
		all += weight
		if next == len(want) {
			through += weight
		}
	}
	if all == 0 {
		return 0
	}
	return through / all
}

// TestWithoutFramePointers has the clock find the whole chain from main to the leaf, and
// the same for sleeping inside the C library, in processes that are found while they
// run: each lives for a second or two.
func TestWithoutFramePointers(t *testing.T) {
	guest.NeedKernel(t)
	exe := build(t, chainC)
	t.Run("cpu", func(t *testing.T) {
		r := untilUnwound(t, Options{Pid: uint32(start(t, exec.Command(exe)))}, "cpu")
		if got := whole(t, r); got < 0.9 {
			t.Errorf("%.2f of the samples have the whole chain, want 0.9", got)
		}
		most(t, r, "_start", 0.9) // and what the C library does before main
		if len(r.User.Cut) > 0 && float64(r.User.Cut[0].Count) > 0.1*float64(r.Samples) {
			t.Errorf("cut short: %+v", r.User)
		}
	})
	t.Run("offcpu", func(t *testing.T) {
		start(t, exec.Command("/bin/sh", "-c", "while :; do "+exe+" sleep; done"))
		r := untilUnwound(t, Options{Comm: "bc-chain"}, "offcpu")
		if got := whole(t, r, "nanosleep*"); got < 0.5 {
			t.Errorf("%.2f of the time has the whole chain, want 0.5", got)
		}
		if len(r.User.Pointers) == 0 {
			t.Errorf("all processes were known before their first sample: %+v", r.User)
		}
		if got := float64(r.Total) / 1e9 / r.Took; got > 1.1 { // one runs at a time
			t.Errorf("processes that have ended are taken to wait: %.2f of the time", got)
		}
	})
}

// TestOddFrames goes through a signal's frame to where the thread began, and says of a
// stack that is too deep that it is cut short.
func TestOddFrames(t *testing.T) {
	guest.Once(t)
	r := untilUnwound(t, Options{Pid: uint32(start(t, exec.Command(build(t, oddC))))}, "cpu")
	signals, reached, deep, marked := 0.0, 0.0, 0.0, 0.0
	for _, s := range r.Stacks {
		w := float64(s.Weight)
		switch {
		case passes(s, "burn_in_signal"):
			signals += w
			if passes(s, "thread_main") && passes(s, "thread_caller") && passes(s, "on_signal") && !passes(s, "[cut short") {
				reached += w
			}
		case passes(s, "burn_deep"):
			deep += w
			if len(s.Frames) >= 127 && s.Frames[0].Name == "[cut short: deeper than 127 frames]" && passes(s, "deep") {
				marked += w
			}
		}
	}
	if signals == 0 || reached < 0.9*signals {
		t.Errorf("%.0f of %.0f samples in the handler lead to the thread's beginning", reached, signals)
	}
	if deep == 0 || marked < 0.9*deep {
		t.Errorf("%.0f of %.0f deep samples are marked", marked, deep)
	}
	if len(r.User.Cut) == 0 {
		t.Errorf("none is counted as cut short: %+v", r.User)
	}
}

func passes(s Stack, function string) bool {
	return share(&Result{Stacks: []Stack{s}, Total: s.Weight}, function) > 0
}

// untilUnwound counts until there are some stacks by tables, and of processes that are
// not named some from before.
func untilUnwound(t *testing.T, o Options, kind string) *Result {
	t.Helper()
	o.Kind, _ = KindNamed(kind)
	var r *Result
	for wait := 2 * time.Second; wait < time.Minute; wait *= 2 {
		o.For = wait
		var err error
		if r, err = Count(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d samples in %.1f s, lost %d and %d, %+v, the program took %s, bearcat %s", kind, r.Samples, r.Took, r.Lost, r.Unnamed, *r.User, r.BPF, r.Own)
		if r.User.Whole >= 20 && (o.Pid != 0 || len(r.User.Pointers) > 0) {
			break
		}
	}
	for i, s := range r.Stacks[:min(3, len(r.Stacks))] {
		t.Logf("  %d: %d %v", i, s.Weight, s.Frames)
	}
	return r
}
