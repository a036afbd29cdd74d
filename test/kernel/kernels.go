package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Kernel is one row of the table: a short name and where Debian keeps it.
type Kernel struct {
	// Name is what the command line and the logs say: major.minor.
	Name string
	// Suite is the Debian suite that carries it.
	Suite string
	// Security is true when the suite is on the security archive.
	Security bool
	// Package matches the image package's name; the newest match is taken.
	Package *regexp.Regexp
}

// Kernels lists the kernels that Bearcat is tested on, oldest first.
var Kernels = []Kernel{
	{"5.10", "bullseye-security", true, image(`5\.10\.0-\d+-cloud-amd64`)},
	{"6.1", "bookworm-security", true, image(`6\.1\.0-\d+-cloud-amd64`)},
	{"6.12", "bookworm-security", true, image(`6\.12\.[\d.]+\+deb12-cloud-amd64`)},
	{"6.18", "trixie-backports", false, image(`6\.18\.[\d.]+\+deb13-cloud-amd64`)},
	{"7.3", "trixie-backports", false, image(`7\.3\.[\d.]+\+deb13-cloud-amd64`)},
}

const imagePrefix = "linux-image-"

func image(release string) *regexp.Regexp {
	return regexp.MustCompile("^" + imagePrefix + release + "$")
}

// Names returns the table's names in its order.
func Names() []string {
	names := make([]string, len(Kernels))
	for i, k := range Kernels {
		names[i] = k.Name
	}
	return names
}

// Lookup returns the kernel of that name.
func Lookup(name string) (Kernel, error) {
	for _, k := range Kernels {
		if k.Name == name {
			return k, nil
		}
	}
	return Kernel{}, fmt.Errorf("unknown kernel %q: choose one of %s", name, strings.Join(Names(), " "))
}

// CacheDir is where kernels are unpacked: $BEARCAT_KERNELS, or bearcat/kernels
// below $XDG_CACHE_HOME or ~/.cache.
func CacheDir() (string, error) {
	if d := os.Getenv("BEARCAT_KERNELS"); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache directory: %w: set BEARCAT_KERNELS", err)
	}
	return filepath.Join(d, "bearcat", "kernels"), nil
}

// Tree is an unpacked kernel.
type Tree struct {
	Kernel
	// Dir is where it is unpacked.
	Dir string
	// Release is what uname -r says in the guest.
	Release string
}

// Image is the kernel image to boot.
func (t Tree) Image() string { return filepath.Join(t.Dir, "vmlinuz") }

// Modules is the directory to show as /lib/modules/RELEASE.
func (t Tree) Modules() string { return filepath.Join(t.Dir, "modules") }

// Open returns the unpacked kernel of that name, or an error that says to fetch it.
func Open(name string) (Tree, error) {
	k, err := Lookup(name)
	if err != nil {
		return Tree{}, err
	}
	cache, err := CacheDir()
	if err != nil {
		return Tree{}, err
	}
	dir := filepath.Join(cache, name)
	release, err := os.ReadFile(filepath.Join(dir, releaseFile))
	if err != nil {
		return Tree{}, fmt.Errorf("kernel %s is not there yet: run vmrun fetch %s: %w", name, name, err)
	}
	return Tree{k, dir, strings.TrimSpace(string(release))}, nil
}

// releaseFile is written last, so its presence means that the tree is whole.
const releaseFile = "release"
