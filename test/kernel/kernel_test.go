package kernel

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/test/kernel/spec"
)

func TestTable(t *testing.T) {
	for _, c := range []struct{ name, pkg string }{
		{"5.10", "linux-image-5.10.0-46-cloud-amd64"},
		{"6.1", "linux-image-6.1.0-56-cloud-amd64"},
		{"6.12", "linux-image-6.12.117+deb12-cloud-amd64"},
		{"6.18", "linux-image-6.18.15+deb13-cloud-amd64"},
		{"7.3", "linux-image-7.3.4+deb13-cloud-amd64"},
	} {
		k, err := Lookup(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Package.MatchString(c.pkg) {
			t.Errorf("%s does not match %s", c.name, c.pkg)
		}
		for _, variant := range []string{strings.Replace(c.pkg, "-cloud", "", 1), c.pkg + "-dbg", "x" + c.pkg} {
			if k.Package.MatchString(variant) {
				t.Errorf("%s matches %s", c.name, variant)
			}
		}
	}
	if _, err := Lookup("2.6"); err == nil || !strings.Contains(err.Error(), "5.10") {
		t.Errorf("an unknown name gives %v, want the choice", err)
	}
}

func TestNewestIsByNumber(t *testing.T) {
	k, err := Lookup("6.1")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-56-amd64", "linux-image-6.1.0-10-cloud-amd64"}
	if got := newestName(names, k.Package); got != names[1] {
		t.Errorf("newest is %s, want %s", got, names[1])
	}
	if got := newestName(nil, k.Package); got != "" {
		t.Errorf("newest of none is %q", got)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("BEARCAT_KERNELS", "")
	t.Setenv("XDG_CACHE_HOME", "/c")
	if got, err := CacheDir(); err != nil || got != "/c/bearcat/kernels" {
		t.Errorf("cache is %s, %v", got, err)
	}
	t.Setenv("BEARCAT_KERNELS", "/k")
	if got, err := CacheDir(); err != nil || got != "/k" {
		t.Errorf("cache is %s, %v", got, err)
	}
}

func TestParseArchives(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want archives
	}{
		"one-line": {
			"# deb http://old.example/debian x main\ndeb [signed-by=/k] http://m.example/debian/ bookworm main\ndeb http://s.example/debian-security bookworm-security main\n",
			archives{"http://m.example/debian", "http://s.example/debian-security"}},
		"deb822":      {"Types: deb\nURIs: https://m.example/x/debian\nSuites: a\n", archives{"https://m.example/x/debian", "https://m.example/x/debian-security"}},
		"mirror list": {"URIs: mirror+file:/etc/apt/mirrors/debian.list\n", archives{"mirror+file:/etc/apt/mirrors/debian.list", "mirror+file:/etc/apt/mirrors/debian-security.list"}},
	} {
		if got, err := parseArchives(c.text); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
	if _, err := parseArchives("deb http://m.example/other x main"); err == nil {
		t.Error("no mirror gives no error")
	}
}

func TestLoadOrder(t *testing.T) {
	dep := "kernel/fs/fuse/virtiofs.ko.xz: kernel/fs/fuse/fuse.ko.xz kernel/drivers/virtio/virtio-ring.ko.xz kernel/drivers/virtio/virtio.ko.xz\n" +
		"kernel/fs/fuse/fuse.ko.xz:\nkernel/fs/overlayfs/overlay.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n"
	got, err := loadOrder(dep, "kernel/drivers/virtio/virtio_pci.ko\n", []string{"virtio_pci", "virtiofs", "overlay"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range got {
		names = append(names, moduleName(f))
	}
	if want := []string{"virtio", "virtio_ring", "fuse", "virtiofs", "overlay"}; !slices.Equal(names, want) {
		t.Errorf("order %v, want %v", names, want)
	}
	if _, err := loadOrder(dep, "", []string{"absent"}); err == nil {
		t.Error("an absent module gives no error")
	}
}

func TestCpioIsAligned(t *testing.T) {
	var b bytes.Buffer
	c := newCpio(&b)
	c.dir("d")
	c.file("d/odd", 0o644, []byte("abcde"))
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Errorf("length %d is no multiple of 4", b.Len())
	}
	if n := strings.Count(b.String(), "070701"); n != 3 {
		t.Errorf("%d headers, want 3", n)
	}
	if i := strings.Index(b.String(), "abcde"); i%4 != 0 {
		t.Errorf("data at %d", i)
	}
}

func TestArguments(t *testing.T) {
	has := func(b *boot, want string) bool { return strings.Contains(strings.Join(b.arguments(), " "), want) }
	plain := &boot{Options: Options{Memory: 512, CPUs: 1}, tree: Tree{Dir: "/k"}, run: "/r"}
	counted := &boot{Options: Options{Memory: 512, CPUs: 1, Counted: true, Append: "lsm=bpf", Writable: "/w"}, tree: Tree{Dir: "/k"}, run: "/r"}
	two := &boot{Options: Options{Memory: 512, CPUs: 2}, tree: Tree{Dir: "/k"}, run: "/r"}
	for _, c := range []struct {
		b    *boot
		want string
	}{
		{plain, "-netdev hubport,hubid=0,id=wire0"}, {plain, "-smp 1"}, {plain, "-m 512M"}, {plain, "-kernel /k/vmlinuz"},
		{counted, "-accel tcg,thread=single -icount shift=0,sleep=off"}, {counted, "lsm=bpf"}, {counted, "tag=" + spec.ShareWrite},
		{two, "-accel tcg,thread=single"}, {two, "-smp 2"},
	} {
		if !has(c.b, c.want) {
			t.Errorf("arguments lack %q: %v", c.want, c.b.arguments())
		}
	}
	if has(plain, "icount") || has(plain, spec.ShareWrite) {
		t.Errorf("arguments hold what was not asked for: %v", plain.arguments())
	}
}

func TestSpecKeepsDirectoriesBelowTmp(t *testing.T) {
	b := &boot{Options: Options{Kernel: "6.1"}, visible: []string{"/src", "/tmp/a", "/tmpx/b"}}
	if got := b.spec("/m").Keep; !slices.Equal(got, []string{"/tmp/a"}) {
		t.Errorf("keeps %v", got)
	}
}
