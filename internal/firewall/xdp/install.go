package xdp

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/cilium/ebpf"
)

// Install loads the program and pins it in dir in place of what was pinned there. The
// tables of the firewall before go on where this build has them in the same form; fill
// puts back the rest before the first frame meets this program. On each device one
// program follows the other without a frame in between. With an error before that, the
// firewall before goes on as it was.
func Install(dir, build string, fill func(*Firewall, *Carried) error) (*Firewall, *Carried, error) {
	spec, err := loadProg()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the firewall's program: %w", err)
	}
	return install(dir, build, spec, fill)
}

func install(dir, build string, spec *ebpf.CollectionSpec, fill func(*Firewall, *Carried) error) (*Firewall, *Carried, error) {
	if err := os.MkdirAll(filepath.Join(dir, "links"), 0o700); err != nil {
		return nil, nil, fmt.Errorf("making %s: %w: mount -t bpf bpf /sys/fs/bpf, if that is missing", dir, err)
	}
	f := &Firewall{dir: dir, spec: spec}
	unlock, err := f.lock()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	f.held = true // what is called below takes no lock of its own
	defer func() { f.held = false }()
	if err := finishPins(dir); err != nil {
		return nil, nil, err
	}
	stamp, err := stampOf(spec, build)
	if err != nil {
		return nil, nil, err
	}
	c, err := carryFrom(dir, spec, stamp)
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	if err := f.load(ebpf.CollectionOptions{MapReplacements: c.keep}); err != nil {
		return nil, nil, err
	}
	if err := f.succeed(c, stamp, fill); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, &c.said, nil
}

// succeed puts a loaded program in the place of the one before.
func (f *Firewall) succeed(c *carry, stamp map[string]string, fill func(*Firewall, *Carried) error) error {
	if c.keep["control"] == nil {
		if err := f.objs.Control.Put(uint32(0), &progFwControl{Seed: rand.Uint64()}); err != nil {
			return fmt.Errorf("writing the control map: %w", err)
		}
	}
	if !c.said.Fresh {
		if err := c.begin(f); err != nil {
			return err
		}
	}
	if !c.said.Policy {
		if err := f.Apply(firewall.Empty()); err != nil {
			return err
		}
	}
	if fill != nil {
		if err := fill(f, &c.said); err != nil {
			return err
		}
	}
	if err := f.follow(c, stamp); err != nil {
		return err
	}
	if err := f.unpinOthers(stamp); err != nil {
		return err
	}
	if err := f.replaceGuard(); err != nil {
		return err
	}
	if c.said.Fresh {
		return nil
	}
	return c.end(f)
}

// follow has the programs judge what those before did, at each device.
func (f *Firewall) follow(c *carry, stamp map[string]string) error {
	attached, err := f.Attached()
	if err != nil {
		return err
	}
	out, err := f.nextEgress()
	if err != nil {
		return err
	}
	var more map[string]func(string) error
	if out != nil {
		defer out.close() //nolint:errcheck // the pins hold it
		more = out.pins(attached)
	}
	if err := f.pinNext(c, stamp, more); err != nil {
		return errors.Join(err, os.RemoveAll(filepath.Join(f.dir, "next")))
	}
	for _, a := range attached {
		if err := f.update(a.Device); err != nil {
			return err
		}
	}
	if out != nil {
		if err := f.replaceEgress(out, attached); err != nil {
			return err
		}
	}
	return finishPins(f.dir)
}

// pinNext pins what is new beside what is there, in a folder whose mark says that it is
// complete. The map through which a program calls itself is pinned too: the kernel
// empties it otherwise. more are pins of other programs, in folders below.
func (f *Firewall) pinNext(c *carry, stamp map[string]string, more map[string]func(string) error) error {
	next := filepath.Join(f.dir, "next")
	if err := os.Mkdir(next, 0o700); err != nil {
		return fmt.Errorf("pinning the program: %w", err)
	}
	marked, err := newStamp(stamp)
	if err != nil {
		return err
	}
	defer marked.Close() //nolint:errcheck // pinned
	pins := map[string]func(string) error{"entry": f.objs.FwEntry.Pin, "again": f.objs.Again.Pin, stampTable: marked.Pin}
	for name, m := range f.tables() {
		if c.keep[name] == nil {
			pins[name] = m.Pin
		}
	}
	maps.Copy(pins, more)
	for name, pin := range pins {
		path := filepath.Join(next, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("pinning %s: %w", name, err)
		}
		if err := pin(path); err != nil {
			return fmt.Errorf("pinning %s: %w", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(next, readyMark), 0o700); err != nil {
		return fmt.Errorf("pinning the program: %w", err)
	}
	return nil
}

const readyMark = "ready"

// finishPins puts complete pins into their places, and removes those that are not, of
// this installation or of one that was broken off.
func finishPins(dir string) error {
	next := filepath.Join(dir, "next")
	if _, err := os.Stat(filepath.Join(next, readyMark)); err == nil {
		if err := moveInto(next, dir); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("removing pins that were left: %w", err)
	}
	return nil
}

// moveInto moves pins into another folder, each in place of the one that is there.
func moveInto(from, to string) error {
	l, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("looking for pins: %w", err)
	}
	for _, e := range l {
		path, place := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.Name() == readyMark:
		case e.IsDir():
			if err := os.MkdirAll(place, 0o700); err != nil {
				return fmt.Errorf("making %s: %w", place, err)
			}
			if err := moveInto(path, place); err != nil {
				return err
			}
		default:
			if err := os.Rename(path, place); err != nil {
				return fmt.Errorf("pinning %s: %w", e.Name(), err)
			}
		}
	}
	return nil
}

// unpinOthers removes tables of a build before that this one does not have.
func (f *Firewall) unpinOthers(stamp map[string]string) error {
	l, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("looking for pins: %w", err)
	}
	for _, e := range l {
		if e.IsDir() || stamp[e.Name()] != "" || slices.Contains([]string{"entry", "again", "guard", stampTable}, e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(f.dir, e.Name())); err != nil {
			return fmt.Errorf("removing a table of the build before: %w", err)
		}
	}
	return nil
}
