package scan

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
	"golang.org/x/sys/unix"
)

// hookCode puts a jump to its own function over the first bytes of the function at TARGET
// while it is loaded. Kernels keep modules from having their code made writable by a call,
// so it takes the processor's protection away for the time of the copy, as rootkits do.
const hookCode = `
static unsigned char before[5], after[5];

long instead(void) { return 0; }

static void put(const unsigned char *from)
{
	volatile unsigned char *to = (volatile unsigned char *)TARGET;
	unsigned long flags, cr0;
	asm volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~0x10000UL) : "memory");
	for (int i = 0; i < 5; i++)
		to[i] = from[i];
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	asm volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

int init_module(void)
{
	const volatile unsigned char *at = (const volatile unsigned char *)TARGET;
	unsigned int way = (unsigned int)((unsigned long)instead - (TARGET + 5));
	after[0] = 0xe9;
	for (int i = 0; i < 4; i++)
		after[i + 1] = way >> 8 * i;
	for (int i = 0; i < 5; i++)
		before[i] = at[i];
	put(after);
	return 0;
}

void cleanup_module(void) { put(before); }
`

// loadHook changes a function of the kernel that nothing in the guest calls, and reports
// whether it could.
func loadHook(t *testing.T, function string) bool {
	t.Helper()
	var target uint64
	err := kernel.EachSymbol(kernel.Kallsyms, func(s *kernel.SymbolLine) bool {
		if string(s.Name) == function {
			target = s.Addr
		}
		return target == 0
	})
	if err != nil || target == 0 {
		t.Fatalf("the kernel has no %s: %v", function, err)
	}
	return loadModule(t, "hooker", fmt.Sprintf("#define TARGET %#xUL\n", target)+hookCode)
}

// TestText finds a function whose first bytes a module has changed, and no other, while
// functions are traced and probed.
func TestText(t *testing.T) {
	guest.Once(t)
	guest.Require(t)
	const dir = "/sys/kernel/tracing/"
	for _, w := range [][2]string{{"kprobe_events", "p:at_begin do_nanosleep\n"}, {"events/kprobes/at_begin/enable", "1"}, {"set_ftrace_filter", "vfs_*"}, {"current_tracer", "function"},
		{"events/sched/enable", "1"}} {
		if err := os.WriteFile(dir+w[0], []byte(w[1]), 0o600); err != nil {
			t.Logf("%s: %v", w[0], err)
		}
	}
	t.Cleanup(func() {
		for _, w := range [][2]string{{"events/kprobes/at_begin/enable", "0"}, {"kprobe_events", ""}, {"current_tracer", "nop"}, {"set_ftrace_filter", ""}, {"events/sched/enable", "0"}} {
			_ = os.WriteFile(dir+w[0], []byte(w[1]), 0o600)
		}
	})
	hooked := loadHook(t, "__x64_sys_vhangup")
	begun := time.Now()
	r, err := Run(t.Context(), []string{"kernel-text"})
	if err != nil {
		t.Fatal(err)
	}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	t.Logf("two looks took %v, and %d MB", time.Since(begun), used.Maxrss>>10)
	for _, x := range r.Skipped {
		t.Errorf("%s was not made: %s", x.Check, x.Why)
	}
	told := false
	for _, f := range r.Findings {
		if hooked && strings.Contains(f.Path, "sys_vhangup") && strings.Contains(f.Evidence, "instead [hooker]") && f.Sure == Certain {
			t.Logf("%s: %s", f.What, f.Evidence)
			told = true
			continue
		}
		t.Errorf("%s (%s): %s", f.What, f.Sure, f.Evidence)
	}
	if told != hooked || len(r.Findings) > 1 {
		t.Errorf("of one function that was changed are told %d findings", len(r.Findings))
	}
}
