package host

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMountinfo(t *testing.T) {
	got, err := ParseMountinfo("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n37 36 0:5 / /mnt\\0402/x rw - tmpfs none rw\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Mount{
		{ID: 36, Parent: 35, Device: "98:0", Root: "/mnt1", Point: "/mnt 2", Options: "rw,noatime", Propagation: []string{"master:1", "shared:7"}, Type: "ext3", Source: "/dev/root", Super: "rw,errors=continue"},
		{ID: 37, Parent: 36, Device: "0:5", Root: "/", Point: "/mnt 2/x", Options: "rw", Propagation: []string{}, Type: "tmpfs", Source: "none", Super: "rw"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"x\n", "1 2 3 4 5 6 - a\n", "a 2 0:0 / / rw - t s o\n", "\n"} {
		if _, err := ParseMountinfo(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add("36 35 98:0 / /m\\0402 rw shared:7 - overlay o rw,lowerdir=a\\:b::c,upperdir=u,workdir=w\n")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseMountinfo(s)
		if err != nil {
			return
		}
		markHidden(list)
		for _, m := range list {
			o := ParseOverlay(m)
			if m.Hidden && len(list) < 2 {
				t.Errorf("one mount hides itself: %+v", m)
			}
			if n := len(o.Upper) + len(o.Work); n > len(m.Super) {
				t.Errorf("layers of %d bytes from options of %d", n, len(m.Super))
			}
		}
	})
}

func TestParseOverlay(t *testing.T) {
	o := ParseOverlay(Mount{Super: `rw,lowerdir=/a\:1:/b\,2::/data,upperdir=/u,workdir=/w,redirect_dir=on`})
	if !slices.Equal(o.Lower, []string{"/a:1", "/b,2"}) || !slices.Equal(o.DataOnly, []string{"/data"}) || o.Upper != "/u" || o.Work != "/w" || !slices.Equal(o.Options, []string{"rw", "redirect_dir=on"}) {
		t.Errorf("%+v", o)
	}
	o = ParseOverlay(Mount{Super: `ro,lowerdir+=/a,lowerdir+=/b,datadir+=/d`})
	if !slices.Equal(o.Lower, []string{"/a", "/b"}) || !slices.Equal(o.DataOnly, []string{"/d"}) || o.Upper != "" {
		t.Errorf("%+v", o)
	}
}

func TestParseModules(t *testing.T) {
	got, err := parseModules("nf_nat 53248 2 nft_nat,nft_masq, Live 0x0000000000000000 (OE)\next4 999 1 - Loading 0xffffffffc0000000\n")
	want := []Module{
		{Name: "nf_nat", Size: 53248, Refs: 2, UsedBy: []string{"nft_nat", "nft_masq"}, State: "Live", Address: "0x0000000000000000", Taint: "OE", InProc: true},
		{Name: "ext4", Size: 999, Refs: 1, UsedBy: []string{}, State: "Loading", Address: "0xffffffffc0000000", InProc: true},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, bad := range []string{"nf_nat\n", "a b c d e f\n"} {
		if _, err := parseModules(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	hidden := Module{Name: "x", InSysfs: true, Taint: "OE"}
	if got := hidden.Note(); got != "not in /proc/modules, built outside the kernel's tree, not signed" {
		t.Errorf("note %q", got)
	}
}

func TestMountNamespaceNames(t *testing.T) {
	for _, bad := range []string{"x", "-1", "4026531840x"} {
		if _, err := ReadMounts(bad); err == nil {
			t.Errorf("--ns %q was taken", bad)
		}
	}
}
