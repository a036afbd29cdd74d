// Package xdptest helps tests of commands that load no programs themselves: it makes a
// loaded firewall look to this build as if another had loaded it, and says what the
// kernel can. A folder of pins and names of tables go in; the stamp there is changed.
package xdptest

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Age has the stamp say that the firewall pinned in dir is of a build in which these
// tables have another form.
func Age(dir, build string, tables ...string) error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, "layout"), nil)
	if err != nil {
		return fmt.Errorf("opening the stamp: %w", err)
	}
	errs := []error{put(m, "bearcat", build)}
	for _, t := range tables {
		errs = append(errs, put(m, t, "another form"))
	}
	return errors.Join(append(errs, m.Close())...)
}

func put(m *ebpf.Map, name, text string) error {
	var k [16]byte
	var v [48]byte
	copy(k[:], name)
	copy(v[:], text)
	return m.Put(k, v)
}

// TellsRefused says whether the kernel tells why it drops packets, as it does since 5.17.
func TellsRefused() bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	_, err = kernel.AnyTypesByName("skb_drop_reason")
	return err == nil
}
