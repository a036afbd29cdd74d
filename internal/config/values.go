package config

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size uint64

// The units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	name string
	size Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}

// ParseSize reads "64KiB", "8MiB", "1GiB" or a plain number of bytes.
func ParseSize(s string) (Size, error) {
	digits, unit := strings.TrimSpace(s), Size(1)
	for _, u := range sizeUnits {
		if d, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(d), u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > uint64(1<<62/unit) {
		return 0, fmt.Errorf("%q is not a size: write 64KiB, 8MiB, 1GiB or a number of bytes", s)
	}
	return Size(n) * unit, nil
}

// String returns the size in the largest unit that it is a multiple of.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatUint(uint64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(s), 10)
}

// ParseDuration reads "30s", "5m" or "0".
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration: write 500ms, 30s or 5m", s)
	}
	return d, nil
}

// ScopeKind says what a Scope is about.
type ScopeKind uint8

// The kinds of scope.
const (
	ScopeHost ScopeKind = iota
	ScopePid
	ScopeCgroup
	ScopeContainer
)

// Scope is the part of the host that is watched.
type Scope struct {
	Kind ScopeKind
	// Pid is the root of a process tree, for ScopePid.
	Pid uint32
	// Cgroup is a path below the root of the hierarchy, with a leading slash,
	// for ScopeCgroup.
	Cgroup string
	// Container is an id or the beginning of one, for ScopeContainer.
	Container string
}

// String returns the scope as ParseScope reads it.
func (s Scope) String() string {
	switch s.Kind {
	case ScopePid:
		return "pid:" + strconv.FormatUint(uint64(s.Pid), 10)
	case ScopeCgroup:
		return "cgroup:" + s.Cgroup
	case ScopeContainer:
		return "container:" + s.Container
	}
	return "host"
}

// ParseScope reads "host", "pid:N", "cgroup:PATH" or "container:ID".
func ParseScope(s string) (Scope, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "host":
		if rest == "" && s == "host" {
			return Scope{}, nil
		}
	case "pid":
		n, err := strconv.ParseUint(rest, 10, 22) // the kernel's PID_MAX_LIMIT
		if err != nil || n == 0 {
			return Scope{}, fmt.Errorf("%q names no process: write pid:1234", s)
		}
		return Scope{Kind: ScopePid, Pid: uint32(n)}, nil
	case "cgroup":
		p, _ := strings.CutPrefix(rest, "/sys/fs/cgroup")
		if !strings.HasPrefix(p, "/") || strings.ContainsRune(p, 0) {
			return Scope{}, fmt.Errorf("%q names no control group: write cgroup:/system.slice/nginx.service, as in /proc/PID/cgroup", s)
		}
		return Scope{Kind: ScopeCgroup, Cgroup: path.Clean(p)}, nil
	case "container":
		if len(rest) < 4 || len(rest) > 64 || strings.Trim(rest, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") != "" {
			return Scope{}, fmt.Errorf("%q names no container: write container: and its id or at least the first 4 digits of it", s)
		}
		return Scope{Kind: ScopeContainer, Container: rest}, nil
	}
	return Scope{}, fmt.Errorf("%q is not a scope: write host, pid:N, cgroup:PATH or container:ID", s)
}

// Addr returns the address to listen on: Listen, with the loopback address
// where it names no host. It is empty where nothing shall listen.
func (m Metrics) Addr() string {
	if strings.HasPrefix(m.Listen, ":") {
		return "127.0.0.1" + m.Listen
	}
	return m.Listen
}

func checkListen(s string) error {
	if s == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf(`%q is not an address: write ":9100" for this host only, or "0.0.0.0:9100" for all who can reach it`, s)
	}
	return nil
}

func oneOf(s string, allowed ...string) error {
	if slices.Contains(allowed, s) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s%s", s, strings.Join(allowed, ", "), didYouMean(s, allowed))
}

func between(s, low, high Size) error {
	if s < low || s > high {
		return fmt.Errorf("%s is out of range: %s to %s", s, low, high)
	}
	return nil
}

// checkRing holds a ring's size to what the kernel takes: a power of two and
// a multiple of the page size.
func checkRing(s Size) error {
	if err := between(s, 64*KiB, GiB); err != nil {
		return err
	}
	if page := Size(os.Getpagesize()); s&(s-1) != 0 || s%page != 0 {
		return fmt.Errorf("%s is not a power of two and a multiple of the page size (%s): write 4MiB, 8MiB or 16MiB", s, page)
	}
	return nil
}

func checkAbs(p string) error {
	if p != "" && !filepath.IsAbs(p) {
		return fmt.Errorf("%q is not an absolute path", p)
	}
	return nil
}

func checkVariables(names []string) error {
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, "=\x00 ") {
			return fmt.Errorf("%q is not the name of an environment variable, with * for any text", n)
		}
	}
	return nil
}

// didYouMean returns a suggestion for a misspelt word, or nothing.
func didYouMean(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least && d < max(len(k), 2) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to change, add, drop or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
