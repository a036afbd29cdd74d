package scan

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// hiddenCode unlinks the module from the kernel's list when it is loaded, and does
// nothing else. Whatever is written to its parameter links it again, so that it can be
// unloaded.
const hiddenCode = `
struct node { struct node *next, *prev; };
extern char __this_module[];
#define list ((struct node *)(__this_module + LIST))
static struct node *before;

int init_module(void)
{
	before = list->prev;
	before->next = list->next;
	list->next->prev = before;
	return 0;
}

int back(const char *text, const void *param)
{
	list->next = before->next;
	list->prev = before;
	before->next->prev = list;
	before->next = list;
	return 0;
}

void cleanup_module(void) {}

asm(/* struct kernel_param_ops and struct kernel_param */
    ".data\n.balign 8\nops: .quad 0, back, 0, 0\n"
    ".section .rodata.str\nname: .asciz \"back\"\n"
    ".section __param,\"a\"\n.balign 8\n.quad name, __this_module, ops\n.word 0200\n.byte -1, 0\n.long 0\n.quad 0\n"
    ".text\n");
`

// moduleCode is what every module has.
const moduleCode = `
asm(".section .modinfo,\"a\"\n"
    ".asciz \"license=GPL\"\n.asciz \"name=" MODULE "\"\n.asciz \"retpoline=Y\"\n.asciz \"vermagic=" VERMAGIC "\"\n"
    ".section __versions,\"a\"\n.incbin \"versions\"\n"
    ".section .gnu.linkonce.this_module,\"aw\"\n.balign 64\n"
    ".globl __this_module\n__this_module:\n"
    ".org NAME\n.asciz \"" MODULE "\"\n.org INIT\n.quad init_module\n.org EXIT\n.quad cleanup_module\n.org SIZE\n"
    ".text\n");
`

// loadHidden loads a module that takes itself out of the list of modules. It gives no name
// where none can be built.
func loadHidden(t *testing.T) string {
	t.Helper()
	const name = "standin"
	if !loadModule(t, name, hiddenCode) {
		return ""
	}
	t.Cleanup(func() {
		if err := os.WriteFile("/sys/module/"+name+"/parameters/back", []byte("1"), 0); err != nil {
			t.Errorf("putting the module back: %v", err)
		}
	})
	if list, err := os.ReadFile("/proc/modules"); err != nil || strings.Contains(string(list), name+" ") {
		t.Errorf("the module does not hide: %v", err)
	}
	return name
}

// loadModule builds a module, and loads it until the test's end. It needs no headers of the
// kernel: the layout of struct module is in its BTF, and what the kernel compares of versions
// comes from a module of its own. It reports false where the guest's kernel has no such module.
func loadModule(t *testing.T, name, code string) bool {
	t.Helper()
	path, err := exec.Command("modinfo", "-n", "dummy").Output()
	if err != nil {
		t.Logf("there is no module whose versions could be taken, so %s is not built: %v", name, err)
		return false
	}
	dir := t.TempDir()
	magic, err := exec.Command("modinfo", "-F", "vermagic", "dummy").Output()
	if err != nil {
		t.Fatal(err)
	}
	takeVersions(t, strings.TrimSpace(string(path)), dir)
	code = moduleLayout(t, strings.TrimRight(string(magic), "\n")) + fmt.Sprintf("#define MODULE %q\n", name) + code + moduleCode
	if err := os.WriteFile(filepath.Join(dir, name+".c"), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	gcc := exec.Command("gcc", "-O1", "-c", "-ffreestanding", "-fno-pic", "-fno-pie", "-mcmodel=kernel", "-mno-red-zone", "-mno-sse",
		"-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=branch", "-o", name+".ko", name+".c")
	gcc.Dir = dir
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("building the module: %v: %s", err, out)
	}
	if out, err := exec.Command("insmod", filepath.Join(dir, name+".ko")).CombinedOutput(); err != nil {
		log, _ := exec.Command("dmesg").Output()
		t.Fatalf("loading the module: %v: %s: %s", err, out, log[max(0, len(log)-1000):])
	}
	t.Cleanup(func() {
		if out, err := exec.Command("rmmod", name).CombinedOutput(); err != nil {
			t.Errorf("unloading the module: %v: %s", err, out)
		}
	})
	return true
}

// takeVersions copies what the kernel compares of versions from one of its modules.
func takeVersions(t *testing.T, path, dir string) {
	t.Helper()
	file := filepath.Join(dir, "dummy.ko")
	open := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(path)]
	if open == "" {
		copyTo(t, path, file)
	} else {
		b, err := exec.Command(open, "-dc", path).Output()
		if err != nil {
			t.Fatalf("unpacking %s: %v", path, err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var versions []byte
	if s := f.Section("__versions"); s != nil {
		if versions, err = s.Data(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "versions"), versions, 0o644); err != nil {
		t.Fatal(err)
	}
}

// moduleLayout defines where the members of struct module are.
func moduleLayout(t *testing.T, magic string) string {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var s *btf.Struct
	if err := types.TypeByName("module", &s); err != nil {
		t.Fatal(err)
	}
	at := func(member string) uint32 {
		off, ok := memberOffset(s.Members, member)
		if !ok {
			t.Fatalf("struct module has no %s", member)
		}
		return off
	}
	text := fmt.Sprintf("#define LIST %d\n#define VERMAGIC %q\n", at("list"), magic)
	// as constants of the assembler
	for name, value := range map[string]uint32{"NAME": at("name"), "INIT": at("init"), "EXIT": at("exit"), "SIZE": s.Size} {
		text += fmt.Sprintf("asm(\".set %s, %d\");\n", name, value)
	}
	return text
}
