package eventjson

import (
	"errors"
	"fmt"
	"time"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// ErrNotEvent is what DecodeEvent wraps for a line that is well formed but
// holds no event, such as a notice of lost output. Readers may skip it.
var ErrNotEvent = errors.New("the line holds no event")

// DecodeEvent reads a line that AppendEvent wrote, or the event within an
// alert's line, and builds the process and its chain of parents again. It
// needs no order among members, passes over those it does not know, and takes
// null for absent. What a line does not hold stays zero: ancestors come back
// in their short form, and Process.Cmdline is made anew from name and
// arguments.
func DecodeEvent(line []byte) (*event.Event, error) {
	d := decoder{parser{in: line}}
	ev, err := d.event()
	if err == nil && d.peek() != 0 {
		err = d.fail("more text after the end of the object")
	}
	if err != nil {
		return nil, fmt.Errorf("decoding event: %w", err)
	}
	return ev, nil
}

type decoder struct{ parser }

func (d *decoder) event() (*event.Event, error) {
	ev := new(event.Event)
	var (
		kind  string
		inner *event.Event
		chain []*event.Process
	)
	err := d.object(func(name string) (err error) {
		switch name {
		case "time":
			ev.Time, err = d.time()
		case "type":
			kind, err = d.str()
		case "boot_ns":
			ev.Boot, err = d.unsigned(64)
		case "num":
			ev.Num, err = d.unsigned(64)
		case "cpu":
			err = d.uint16(&ev.CPU)
		case "seq":
			ev.Seq, err = d.unsigned(64)
		case "tid":
			err = d.uint32(&ev.Tid)
		case "exec":
			ev.ExecInfo, err = d.exec()
		case "exit":
			ev.ExitInfo, err = d.exit()
		case "old_comm":
			ev.OldComm, err = d.str()
		case "gap":
			ev.GapInfo, err = d.gap()
		case "limit":
			ev.LimitInfo, err = d.limit()
		case "firewall":
			ev.FirewallInfo, err = d.firewall()
		case "finding":
			ev.FindingInfo, err = d.finding()
		case "creds":
			ev.CredsInfo, err = d.credsInfo()
		case "call":
			ev.Call, err = d.call()
		case "shell":
			ev.Shell, err = d.shell()
		case "process":
			ev.Proc, err = d.process()
		case "ancestors":
			chain, err = d.ancestors()
		case "event":
			inner, err = d.event()
		default:
			err = d.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch ev.Type = typeByName(kind); {
	case kind == "alert" && inner != nil:
		return inner, nil
	case kind == "alert" || kind == "output_loss":
		return nil, ErrNotEvent
	case ev.Type == event.TypeNone:
		return nil, fmt.Errorf("unknown event type %q: the line is of another program or a newer version", kind)
	}
	if x := ev.ExecInfo; x != nil && x.Old != nil && !x.OldCredKnown && ev.Proc != nil {
		x.OldCred, x.OldCredKnown = ev.Proc.Cred, true // not written: the same
	}
	if c := ev.Call; c != nil && c.Spec.Type == event.TypeNone {
		c.Spec.Type = ev.Type // a call that only a newer version knows
	}
	link(ev, chain)
	return ev, nil
}

func typeByName(name string) event.Type {
	for t := event.TypeNone + 1; t < event.NumTypes; t++ {
		if t.String() == name {
			return t
		}
	}
	return event.TypeNone
}

// link joins the process to its chain and fills in what follows from it.
func link(ev *event.Event, chain []*event.Process) {
	p := ev.Proc
	if p == nil {
		return
	}
	if s := ev.Shell; s != nil && s.Proc != nil && s.Proc.Key == p.Key {
		s.Proc = p
	}
	if ev.Type == event.Exit {
		p.Exited = ev.ExitInfo
	}
	for _, a := range chain {
		// both clocks run at the same pace since boot
		if ev.Boot >= a.Start && !ev.Time.IsZero() {
			a.Time = ev.Time.Add(-time.Duration(ev.Boot - a.Start))
		}
		p.Parent, p.ParentKey = a, a.Key
		p = a
	}
}

func (d *decoder) uint32(to *uint32) error {
	n, err := d.unsigned(32)
	*to = uint32(n)
	return err
}

func (d *decoder) int32(to *int32) error {
	n, err := d.signed()
	if *to = int32(n); err == nil && int64(*to) != n {
		return d.fail("%d is not an integer of 32 bits", n)
	}
	return err
}

func (d *decoder) uint16(to *uint16) error {
	n, err := d.unsigned(16)
	*to = uint16(n)
	return err
}

func (d *decoder) duration(to *time.Duration) error {
	n, err := d.signed()
	*to = time.Duration(n)
	return err
}

func (d *decoder) integer(to *int) error {
	n, err := d.signed()
	*to = int(n)
	return err
}

func (d *decoder) count(to *int) error {
	n, err := d.unsigned(31)
	*to = int(n)
	return err
}

func (d *decoder) strings() ([]string, error) {
	var out []string
	err := d.list(func() error {
		s, err := d.str()
		out = append(out, s)
		return err
	})
	return out, err
}

func (d *decoder) exec() (*event.ExecInfo, error) {
	x := new(event.ExecInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "at":
			x.At, err = d.boolean()
		case "old_tid":
			err = d.uint32(&x.OldTid)
		case "old_exe":
			x.Old = new(event.Image).Seal()
			x.Old.Exe.Path, err = d.str()
		case "old_cred":
			x.OldCred, x.OldCredKnown = unsetCred(), true
			err = d.object(func(name string) error {
				if known, err := d.cred(name, &x.OldCred); known {
					return err
				}
				return d.skip()
			})
		default:
			err = d.skip()
		}
		return err
	})
	return x, err
}

func (d *decoder) exit() (*event.ExitInfo, error) {
	x := new(event.ExitInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "code":
			err = d.integer(&x.Code)
		case "signal":
			err = d.integer(&x.Signal)
		case "core_dumped":
			x.CoreDumped, err = d.boolean()
		case "duration_ns":
			err = d.duration(&x.Duration)
		case "cpu_ns":
			err = d.duration(&x.CPUTime)
		case "user_ns":
			err = d.duration(&x.User)
		case "system_ns":
			err = d.duration(&x.System)
		case "max_rss":
			x.MaxRSS, err = d.unsigned(64)
		default:
			err = d.skip()
		}
		return err
	})
	return x, err
}

func (d *decoder) limit() (*event.LimitInfo, error) {
	l := new(event.LimitInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "level":
			err = d.integer(&l.Level)
		case "left_out":
			l.LeftOut, err = d.str()
		case "used_permille":
			err = d.integer(&l.Used)
		case "allowed_permille":
			err = d.integer(&l.Allowed)
		default:
			err = d.skip()
		}
		return err
	})
	return l, err
}

func (d *decoder) finding() (*event.FindingInfo, error) {
	f := new(event.FindingInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "check":
			f.Check, err = d.str()
		case "what":
			f.What, err = d.str()
		case "evidence":
			f.Evidence, err = d.str()
		case "sure":
			f.Sure, err = d.str()
		case "do":
			f.Do, err = d.str()
		case "path":
			f.Path, err = d.str()
		case "after":
			f.After, err = d.str()
		default:
			err = d.skip()
		}
		return err
	})
	return f, err
}

func (d *decoder) firewall() (*event.FirewallInfo, error) {
	f := new(event.FirewallInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "kind":
			f.Kind, err = d.str()
		case "rule":
			f.Rule, err = d.str()
		case "source":
			f.Source, err = d.str()
		case "for_ns":
			err = d.duration(&f.For)
		case "strikes":
			err = d.integer(&f.Strikes)
		case "reason":
			f.Reason, err = d.str()
		case "rate":
			f.Rate, err = d.unsigned(64)
		case "ports":
			err = d.integer(&f.Ports)
		case "addresses":
			err = d.integer(&f.Addresses)
		default:
			err = d.skip()
		}
		return err
	})
	return f, err
}

func (d *decoder) credsInfo() (*event.CredsInfo, error) {
	c := new(event.CredsInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "seen":
			var s string
			if s, err = d.str(); err != nil {
				return err
			}
			c.Seen = typeByName(s)
		case "old":
			var old *event.Cred
			if old, err = d.creds(); err == nil {
				c.Old = *old
			}
		default:
			err = d.skip()
		}
		return err
	})
	return c, err
}

func (d *decoder) gap() (*event.GapInfo, error) {
	g := new(event.GapInfo)
	err := d.object(func(name string) (err error) {
		switch name {
		case "class":
			var s string
			if s, err = d.str(); err != nil {
				return err
			}
			for g.Class = 0; g.Class < event.NumClasses; g.Class++ {
				if g.Class.String() == s {
					return nil
				}
			}
			err = d.fail("unknown class %q", s)
		case "lost":
			var s string
			if s, err = d.str(); err == nil {
				// a newer version's type is unknown here, the hole is not
				g.Lost = typeByName(s)
			}
		case "cpu":
			err = d.uint16(&g.CPU)
		case "n":
			g.N, err = d.unsigned(64)
		case "from":
			g.From, err = d.unsigned(64)
		case "to":
			g.To, err = d.unsigned(64)
		default:
			err = d.skip()
		}
		return err
	})
	return g, err
}

func (d *decoder) ancestors() ([]*event.Process, error) {
	var chain []*event.Process
	err := d.list(func() error {
		a, err := d.ancestor()
		chain = append(chain, a)
		return err
	})
	return chain, err
}

func (d *decoder) ancestor() (*event.Process, error) {
	a := &event.Process{Cred: unsetCred()}
	img := imageParts{argc: -1}
	err := d.object(func(name string) (err error) {
		switch name {
		case "pid":
			err = d.uint32(&a.Pid)
		case "start":
			a.Start, err = d.unsigned(64)
		case "ns_pid":
			err = d.uint32(&a.NSPid)
		case "uid":
			err = d.uint32(&a.Cred.UID)
		case "comm":
			a.Comm, err = d.str()
		case "kthread":
			a.KThread, err = d.boolean()
		case "exited":
			var v bool
			if v, err = d.boolean(); v {
				// when is not in the line; what matters is that it did
				a.ExitBoot = 1
			}
		case "exe":
			img.seen = true
			img.Exe.Path, err = d.str()
		case "argv":
			img.Argv, err = d.strings()
		case "argc":
			err = d.count(&img.argc)
		case "argv_cut":
			img.ArgvCut, err = d.boolean()
		case "parent":
			a.ParentKey, _, err = d.parent()
		default:
			err = d.skip()
		}
		return err
	})
	u := a.Cred.UID
	a.Cred.GID, a.Cred.EGID, a.Cred.SGID, a.Cred.FSGID = event.Unset, event.Unset, event.Unset, event.Unset
	a.Cred.EUID, a.Cred.SUID, a.Cred.FSUID = u, u, u
	img.finish(a)
	return a, err
}
