// Package setup loads the firewall of this host with all that it held: its policy, its
// lists, and the protection of what must stay reachable. It joins the kernel's side
// (internal/firewall/xdp) and what is kept in files (internal/firewall/host): folders
// and a policy's text go in, the loaded firewall comes out. cmd/bearcat calls it.
package setup

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/geo"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// Host is where the firewall of a host has its things, and which build asks.
type Host struct {
	Pins, State, Kill string
	Build             string
	// Say is told, in sentences, what is not as it was.
	Say func(text string)
}

func (h *Host) state() host.State { return host.State{Dir: h.State} }

// OnHost is what policies ask of this host.
func OnHost() firewall.Host { return firewall.Host{Device: host.Device, Places: places} }

func places(files []string) (firewall.Networks, error) { return geo.Open(files) }

// InUse reads the policy in use.
func (h *Host) InUse() (*firewall.Policy, error) {
	text, err := h.state().Policy()
	if err != nil {
		return nil, err
	}
	return firewall.Parse(h.State+"/policy.yaml", text, firewall.Host{Places: places})
}

// Load puts this build's firewall in place of the one that is loaded, if there is one,
// with all that it held. bare protects nothing.
func (h *Host) Load(bare bool) (*xdp.Firewall, error) {
	if err := host.CheckKillSwitch(h.Kill); err != nil {
		return nil, err
	}
	if h.state().Pending() {
		return nil, errors.New("a policy waits to be confirmed, so the firewall is not replaced now: bearcat fw confirm keeps it")
	}
	var found []host.Protected
	if !bare {
		var err error
		if found, err = host.Find("/"); err != nil {
			return nil, err
		}
	}
	fw, had, err := xdp.Install(h.Pins, h.Build, func(fw *xdp.Firewall, had *xdp.Carried) error {
		if err := host.Protect(fw, found); err != nil {
			return err
		}
		return h.putBack(fw, had)
	})
	if err != nil {
		return nil, err
	}
	h.tell(had)
	return fw, nil
}

// putBack puts the policy and those lists into a new firewall that it has not from the
// one before.
func (h *Host) putBack(fw *xdp.Firewall, had *xdp.Carried) error {
	if !had.Policy {
		text, err := h.state().Policy()
		if err != nil {
			return err
		}
		policy, err := firewall.Parse(h.State+"/policy.yaml", text, firewall.Host{Device: h.deviceOrNone, Places: places})
		if err != nil {
			return fmt.Errorf("the policy in use cannot be written anew (nothing is changed): %w", err)
		}
		if err := fw.Apply(policy); err != nil {
			return err
		}
	}
	lists := missing(had)
	if len(lists) == 0 {
		return nil
	}
	bad, err := h.state().Restore(fw, lists...)
	if err == nil && bad > 0 {
		h.Say(fmt.Sprintf("%d lines of the journal of lists in %s cannot be read and are left out", bad, h.State))
	}
	return err
}

// noDevice is an index that no device has.
const noDevice = math.MaxUint32

// deviceOrNone gives the index of a device that may not be there yet: at boot the rest
// of the policy must not wait for it.
func (h *Host) deviceOrNone(name string) (uint32, error) {
	index, err := host.Device(name)
	if err != nil {
		h.Say(fmt.Sprintf("the device %q is not there: rules that name it hold for no packet until the policy is applied again", name))
		return noDevice, nil
	}
	return index, nil
}

// missing gives the lists that come from the journal.
func missing(had *xdp.Carried) []host.List {
	var out []host.List
	for list, there := range map[host.List]bool{host.BlockList: had.Block, host.AllowList: had.Allow, host.BanList: had.Bans} {
		if !there {
			out = append(out, list)
		}
	}
	return out
}

// tell says what a firewall has lost of the one before.
func (h *Host) tell(had *xdp.Carried) {
	if had.Fresh {
		return
	}
	if had.Build != "" {
		h.Say("the firewall of bearcat " + had.Build + " is replaced")
	}
	for _, s := range had.Lost {
		h.Say(s)
	}
}

// Open opens the firewall that is loaded. One of another build, whose tables this one does
// not understand, is replaced.
func (h *Host) Open() (*xdp.Firewall, error) {
	fw, err := xdp.Open(h.Pins)
	if other := (*xdp.OtherBuildError)(nil); errors.As(err, &other) {
		return h.Load(false)
	}
	return fw, err
}

// Trial is for a policy that goes again unless it is confirmed in time.
type Trial struct {
	For     time.Duration
	Stop    <-chan struct{} // goes back at once
	Applied func()          // the clock runs
}

// ErrNotConfirmed means that the policy before is back.
var ErrNotConfirmed = errors.New("not confirmed: the policy before is back")

// Apply makes a text the policy in use, for good or on trial, and gives the countries and
// systems that it names. name is its file's.
func (h *Host) Apply(name string, text []byte, trial *Trial) ([]firewall.Region, error) {
	policy, err := firewall.Parse(name, text, OnHost())
	if err != nil {
		return nil, err
	}
	if h.state().Pending() {
		return nil, errors.New("a policy waits to be confirmed: bearcat fw confirm keeps it")
	}
	for _, w := range firewall.Warnings(policy) {
		h.Say(w)
	}
	fw, err := h.Open()
	if err != nil {
		return nil, err
	}
	defer fw.Close() //nolint:errcheck // what is pinned stays
	found, err := host.Find("/")
	if err != nil {
		return nil, err
	}
	if err := host.Protect(fw, found); err != nil {
		return nil, err
	}
	if trial == nil {
		err = fw.Apply(policy)
	} else {
		err = h.try(fw, policy, trial)
	}
	if err != nil {
		return nil, err
	}
	if err := h.state().Save(text); err != nil {
		return nil, err
	}
	return policy.Regions, h.sayUnseen(fw, policy)
}

// sayUnseen tells that rules for what goes out have no effect where nobody looks at it.
func (h *Host) sayUnseen(fw *xdp.Firewall, policy *firewall.Policy) error {
	if !policy.FiltersOut() {
		return nil
	}
	at, err := fw.Attached()
	if err == nil && !slices.ContainsFunc(at, func(a xdp.Attachment) bool { return a.Egress != "" }) {
		h.Say("what goes out is seen at no device, so rules about it have no effect: bearcat fw attach DEV --egress")
	}
	return err
}

// switcher is what a trial needs of a firewall.
type switcher interface {
	Slot() (uint32, error)
	Switch(slot uint32) error
	Apply(p *firewall.Policy) error
}

// try applies a policy and goes back to the one before unless it is confirmed.
func (h *Host) try(fw switcher, policy *firewall.Policy, trial *Trial) error {
	before, err := fw.Slot()
	if err != nil {
		return err
	}
	if err := h.state().Begin(); err != nil {
		return err
	}
	if err := fw.Apply(policy); err != nil {
		_ = h.state().Confirm() // nothing is there to be confirmed
		return err
	}
	trial.Applied()
	if h.state().Wait(trial.For, trial.Stop) {
		return nil
	}
	if err := fw.Switch(before); err != nil {
		return fmt.Errorf("going back to the policy before: %w", err)
	}
	return ErrNotConfirmed
}
