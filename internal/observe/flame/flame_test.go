package flame

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestNamesOfThisProgram looks up addresses of functions in this very process.
func TestNamesOfThisProgram(t *testing.T) {
	var notes []string
	n := &names{processes: map[uint32]*process{}, files: map[fileKey]*file{}, notes: &notes}
	defer n.close()
	pid := uint32(os.Getpid())
	n.see(pid)
	opened := 0
	for _, f := range n.files {
		if f.f != nil {
			opened++
		}
	}
	if opened == 0 {
		t.Skip("what is mapped can be opened by root only")
	}
	for want, f := range map[string]any{"flame.burnHere": burnHere, "strings.Cut": strings.Cut, "runtime.GC": runtime.GC} {
		if got := n.user(pid, uint64(reflect.ValueOf(f).Pointer())+1); !strings.HasSuffix(got.Name, want) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if got := n.user(pid, 1); got.Name != "[unknown]" {
		t.Errorf("nothing is at 1, and its name is %s", got.Name)
	}
}

func TestKernelNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kallsyms")
	if err := os.WriteFile(path, []byte("0000 t hidden\nff10 T a\nff20 D data\nff30 t b\t[mod]\nbad\nff40 t bpf_prog_1_x\t[bpf]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readKernel(path)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]Frame{0xff15: {"a", "kernel", true}, 0xff30: {"b", "mod", true}, 0xff99: {"bpf_prog_1_x", "bpf", true}, 3: {"[kernel]", "kernel", true}} {
		if got := s.frame(addr); got != want {
			t.Errorf("%#x is %+v, want %+v", addr, got, want)
		}
	}
	got := withoutProgram([]Frame{{Name: "bpf_prog_1_x"}, {Name: "bpf_trace_run2"}, {Name: "odd"}, {Name: "__traceiter_sched_switch"}, {Name: "schedule"}})
	if len(got) != 1 || got[0].Name != "schedule" {
		t.Errorf("the program's frames are not left out: %v", got)
	}
}

func TestPerfMapAndMaps(t *testing.T) {
	s := parsePerfMap(strings.NewReader("7f00 10 py::f:/a b.py\nxx 1 y\n7f20 0 empty\n0x7f30 8 g\n"))
	if f, ok := s.find(0x7f0f); !ok || f.name != "py::f:/a b.py" {
		t.Errorf("%+v", f)
	}
	if f, ok := s.find(0x7f10); ok {
		t.Errorf("%+v ends before that", f)
	}
	m := parseMaps(strings.NewReader("1000-2000 r-xp 00001000 08:01 42  /usr/lib/a b.so (deleted)\n3000-4000 rw-p 0 00:00 0\nx\n9-8 r-xp 0 0 0\n"))
	if len(m) != 1 || m[0].path != "/usr/lib/a b.so (deleted)" || m[0].off != 0x1000 || m[0].key.inode != "42" {
		t.Errorf("%+v", m)
	}
}

// sample has names that would break out of each form of output.
func sample() *Result {
	return &Result{Kind: "offcpu", Unit: "nanoseconds", Took: 1, Samples: 4, Total: 100, Stacks: []Stack{
		{Pid: 1, Comm: "a\"><b", Count: 1, Weight: 60, Frames: []Frame{{"main", "prog", false}, {"f<int>&;x\n]]>", "prog", false}}},
		{Pid: 2, Comm: "b\xff\x01", Count: 2, Weight: 30, Frames: []Frame{{"main", "prog", false}, {"schedule", "kernel", true}}},
		{Pid: 3, Comm: "b\xff\x01", Count: 1, Weight: 10, Frames: []Frame{{"main", "prog", false}, {"schedule", "kernel", true}}},
	}}
}

func TestFolded(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteFolded(&b); err != nil {
		t.Fatal(err)
	}
	if want := "a\"><b;main;f<int>&:x?]]> 60\nb??;main;schedule 40\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// TestSVGIsXML reads the drawing as XML, with names that try to leave it.
func TestSVGIsXML(t *testing.T) {
	for _, r := range []*Result{sample(), {Kind: "cpu", Unit: "samples"}} {
		var b bytes.Buffer
		if err := r.WriteSVG(&b, "a <title>"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "href") || strings.Contains(b.String(), "src=") {
			t.Error("the drawing loads something from outside")
		}
		frames, scripts := 0, 0
		for d := xml.NewDecoder(&b); ; {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := tok.(xml.StartElement); ok {
				switch s.Name.Local {
				case "g":
					frames++
				case "script":
					scripts++
				case "b", "int":
					t.Errorf("a name became the element %s", s.Name.Local)
				}
			}
		}
		want := 1
		if r.Samples > 0 {
			want = 7 // all, a, main, f, b, main, schedule
		}
		if frames != want || scripts != 1 {
			t.Errorf("%d frames and %d scripts, want %d and 1", frames, scripts, want)
		}
	}
}

// TestClickAndSearch runs the drawing's script.
func TestClickAndSearch(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node to run the script")
	}
	var b bytes.Buffer
	if err := sample().WriteSVG(&b, "test"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "f.svg")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(node, "testdata/dom.js", file, "flame.js").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBrowserOpensIt has Chromium draw it and click on a frame.
func TestBrowserOpensIt(t *testing.T) {
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
		}
	}
	if browser == "" {
		t.Skip("there is no chromium")
	}
	var b bytes.Buffer
	if err := sample().WriteSVG(&b, "test"); err != nil {
		t.Fatal(err)
	}
	click := `<script>document.querySelectorAll("g.f")[2].dispatchEvent(new Event("click"))</script></svg>`
	file := filepath.Join(t.TempDir(), "f.svg")
	if err := os.WriteFile(file, []byte(strings.Replace(b.String(), "</svg>", click, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	if !strings.Contains(string(out), `id="reset" x="10" y="24" visibility="visible"`) {
		t.Errorf("the click changed nothing:\n%s", out)
	}
}

func TestPprof(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WritePprof(&b); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Sample) != 3 || p.Sample[0].Value[1] != 60 || p.SampleType[1].Unit != "nanoseconds" || p.Sample[1].Location[0].Line[0].Function.Name != "schedule" {
		t.Errorf("%v", p)
	}
}

func TestRefused(t *testing.T) {
	for _, o := range []Options{{Comm: "longer than fifteen"}, {Rate: 1e6}, {Pid: 1 << 30}} {
		if err := o.check(); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestDepthFollowsTheKernel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "max")
	for text, want := range map[string]uint32{"127\n": 127, "64\n": 64, "1000\n": 127, "x": 127, "0": 127} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := maxDepth(file); got != want {
			t.Errorf("%q gives %d, want %d", text, got, want)
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if o, err := readObject(bytes.NewReader(b)); err == nil {
			o.at(4096)
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add("7f00 10 f\n1000-2000 r-xp 00001000 08:01 42 /a\n")
	f.Fuzz(func(_ *testing.T, text string) {
		parsePerfMap(strings.NewReader(text)).find(0x7f00)
		parseMaps(strings.NewReader(text))
	})
}

// parseWeight reads the number at the end of a folded line.
func parseWeight(line string) (float64, error) {
	return strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
}
