package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// archives are the two apt addresses that the kernels come from.
type archives struct {
	main, security string
}

var (
	aptURI       = regexp.MustCompile(`[a-z][a-z+]*:/[^\s\]]+`)
	mainPath     = regexp.MustCompile(`/debian(\.list)?/?$`)
	securityPath = regexp.MustCompile(`/debian-security(\.list)?/?$`)
)

// configuredArchives reads the Debian mirror out of apt's own configuration.
// BEARCAT_DEBIAN_MIRROR, an address that ends in /debian, overrides it.
func configuredArchives() (archives, error) {
	if m := os.Getenv("BEARCAT_DEBIAN_MIRROR"); m != "" {
		return parseArchives("deb " + m + " any main")
	}
	files := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"*.list", "*.sources"} {
		more, _ := filepath.Glob("/etc/apt/sources.list.d/" + pattern)
		files = append(files, more...)
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return archives{}, fmt.Errorf("reading apt's sources: %w", err)
		}
		text.Write(b)
		text.WriteByte('\n')
	}
	return parseArchives(text.String())
}

// parseArchives finds the first main and the first security address in text,
// which is in either of apt's two formats. A missing security address is
// derived from the main one, since Debian's mirrors keep both side by side.
func parseArchives(text string) (archives, error) {
	var a archives
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, uri := range aptURI.FindAllString(line, -1) {
			switch {
			case a.main == "" && mainPath.MatchString(uri):
				a.main = strings.TrimSuffix(uri, "/")
			case a.security == "" && securityPath.MatchString(uri):
				a.security = strings.TrimSuffix(uri, "/")
			}
		}
	}
	if a.main == "" {
		return a, errors.New("apt's sources name no Debian mirror: set BEARCAT_DEBIAN_MIRROR to an address that ends in /debian")
	}
	if a.security == "" {
		base, isList := strings.CutSuffix(a.main, ".list")
		a.security = base + "-security"
		if isList {
			a.security += ".list"
		}
	}
	return a, nil
}

func (a archives) forKernel(k Kernel) string {
	if k.Security {
		return a.security
	}
	return a.main
}
