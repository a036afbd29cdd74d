package xdp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// The stamp of a pinned firewall is a table of its own: for each table a digest of what
// its keys and values are made of, and the build that loaded it. Sizes are not in it:
// the kernel knows those.
const (
	stampTable = "layout"
	buildKey   = "bearcat" // no table is called so
)

// meanings are counted up where a table means something else in the same form, as
// another hash would.
var meanings = map[string]int{}

type stampKey [16]byte

type stampValue [48]byte

func stampSpec() *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: stampTable, Type: ebpf.Hash, KeySize: uint32(len(stampKey{})), ValueSize: uint32(len(stampValue{})), MaxEntries: 256,
	}
}

// pinnedTables are the tables of a program that outlive it.
func pinnedTables(spec *ebpf.CollectionSpec) map[string]*ebpf.MapSpec {
	out := map[string]*ebpf.MapSpec{}
	for name, m := range spec.Maps {
		if !strings.HasPrefix(name, ".") && name != "again" {
			out[name] = m
		}
	}
	return out
}

// digest says what the keys and values of a table are made of.
func digest(m *ebpf.MapSpec) (string, error) {
	h := sha256.New()
	for ; m != nil; m = m.InnerMap {
		_, _ = fmt.Fprintln(h, m.KeySize, m.ValueSize, meanings[m.Name])
		for _, t := range []btf.Type{m.Key, m.Value} {
			if t == nil {
				continue
			}
			text, err := new(btf.GoFormatter).TypeDeclaration("t", t)
			if err != nil {
				return "", fmt.Errorf("describing the table %s: %w", m.Name, err)
			}
			_, _ = fmt.Fprintln(h, text)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}

// stampOf is what the stamp of a program's tables says.
func stampOf(spec *ebpf.CollectionSpec, build string) (map[string]string, error) {
	out := map[string]string{buildKey: build}
	for name, m := range pinnedTables(spec) {
		d, err := digest(m)
		if err != nil {
			return nil, err
		}
		out[name] = d
	}
	return out, nil
}

func newStamp(stamp map[string]string) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(stampSpec())
	if err != nil {
		return nil, fmt.Errorf("making the stamp of this build: %w", err)
	}
	for name, text := range stamp {
		var k stampKey
		var v stampValue
		copy(k[:], name)
		copy(v[:len(v)-1], text)
		if err := m.Put(k, v); err != nil {
			return nil, errors.Join(fmt.Errorf("writing the stamp of this build: %w", err), m.Close())
		}
	}
	return m, nil
}

// readStamp reads the stamp in a folder of pins. One of a build before there were stamps
// is empty, and then only sizes tell tables apart.
func readStamp(dir string) (map[string]string, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, stampTable), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the stamp of the firewall: %w", err)
	}
	defer m.Close() //nolint:errcheck // only read
	out := map[string]string{}
	var k stampKey
	var v stampValue
	it := m.Iterate()
	for it.Next(&k, &v) {
		out[upToZero(k[:])] = upToZero(v[:])
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("reading the stamp of the firewall: %w", err)
	}
	return out, nil
}

func upToZero(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// sameLayout says whether a table of the build before has the form that this one's has.
func sameLayout(before, now map[string]string, name string) bool {
	return len(before) == 0 || before[name] == now[name]
}

// OtherBuildError means that another build of bearcat loaded the firewall, and that this
// one does not understand its tables.
type OtherBuildError struct {
	Build string // that loaded it; empty where it did not say
	Table string // the first that is different
}

func (e *OtherBuildError) Error() string {
	by := "another build of bearcat"
	if e.Build != "" {
		by = "bearcat " + e.Build
	}
	return fmt.Sprintf("the firewall was loaded by %s, whose table %s has another form: bearcat fw attach DEV replaces it, and packets meet one or the other",
		by, e.Table)
}
