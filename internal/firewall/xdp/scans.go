package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// scanWindow is the seconds within which a source's ports and addresses are counted.
const scanWindow = 60

// watchScans has scans told while the events are open: of what the firewall drops, and
// where the kernel says why it drops packets (since 5.17) of what it refuses.
func (e *Events) watchScans() error {
	if err := e.f.setScans(scanWindow); err != nil {
		return err
	}
	if kernel, err := btf.LoadKernelSpec(); err != nil {
		return fmt.Errorf("reading the kernel's types: %w", err)
	} else if _, err := kernel.AnyTypesByName("skb_drop_reason"); err != nil {
		return nil
	}
	var objs scanObjects
	m := &e.f.objs
	if err := loadScanObjects(&objs, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		"control": m.Control, "allow4": m.Allow4, "allow6": m.Allow6, "events": m.Events, "scans": m.Scans,
	}}); err != nil {
		return fmt.Errorf("loading the watch for scans: %w", err)
	}
	defer objs.Close() //nolint:errcheck // the link holds the program, f the maps
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "kfree_skb", Program: objs.FwRefused})
	if err != nil {
		return fmt.Errorf("watching for scans: %w", err)
	}
	e.refused = l
	return nil
}

func (e *Events) endScans() error {
	err := e.f.setScans(0)
	if e.refused != nil {
		err = errors.Join(err, e.refused.Close())
	}
	return err
}

// setScans sets the seconds within which ports and addresses are counted; 0 stops it.
func (f *Firewall) setScans(seconds uint32) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := f.control()
	if err != nil {
		return err
	}
	c.Scans = seconds
	if err := f.objs.Control.Put(uint32(0), &c); err != nil {
		return fmt.Errorf("writing the control map: %w", err)
	}
	return nil
}
