package setup

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/bearcat-hids/bearcat/internal/firewall/host"
	"github.com/bearcat-hids/bearcat/internal/firewall/xdp"
)

// slots is a firewall that only has slots.
type slots struct {
	now  uint32
	fail error
}

func (s *slots) Slot() (uint32, error)    { return s.now, nil }
func (s *slots) Switch(slot uint32) error { s.now = slot; return nil }
func (s *slots) Apply(*firewall.Policy) error {
	if s.fail == nil {
		s.now = 1 - s.now
	}
	return s.fail
}

func TestTrial(t *testing.T) {
	h := &Host{State: t.TempDir()}
	for _, x := range []struct {
		name    string
		applied func()
		fail    error
		want    error
		slot    uint32
	}{
		{name: "confirmed", applied: func() {
			if err := h.state().Confirm(); err != nil {
				t.Error(err)
			}
		}, slot: 1},
		{name: "not confirmed", applied: func() {}, want: ErrNotConfirmed},
		{name: "not applied", fail: errors.New("no room"), want: errors.New("no room")},
	} {
		fw := &slots{fail: x.fail}
		err := h.try(fw, firewall.Empty(), &Trial{For: 50 * time.Millisecond, Applied: x.applied})
		if (err == nil) != (x.want == nil) || err != nil && err.Error() != x.want.Error() {
			t.Errorf("%s: %v, want %v", x.name, err, x.want)
		}
		if fw.now != x.slot || h.state().Pending() {
			t.Errorf("%s: slot %d, want %d; pending %v", x.name, fw.now, x.slot, h.state().Pending())
		}
	}
	stop := make(chan struct{})
	fw := &slots{}
	if err := h.try(fw, firewall.Empty(), &Trial{For: time.Hour, Stop: stop, Applied: func() { close(stop) }}); !errors.Is(err, ErrNotConfirmed) || fw.now != 0 {
		t.Errorf("stopped: %v, slot %d", err, fw.now)
	}
}

func TestWhatIsSaid(t *testing.T) {
	var said []string
	h := &Host{State: t.TempDir(), Say: func(s string) { said = append(said, s) }}
	h.tell(&xdp.Carried{Fresh: true, Lost: []string{"of nothing"}})
	h.tell(&xdp.Carried{Build: "1.0", Lost: []string{"a", "b"}})
	if want := []string{"the firewall of bearcat 1.0 is replaced", "a", "b"}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	l := missing(&xdp.Carried{Allow: true})
	slices.Sort(l)
	if !slices.Equal(l, []host.List{host.BanList, host.BlockList}) {
		t.Errorf("from the journal come %v", l)
	}
}

// TestPlaces reads policies that name a country, whose database is not there.
func TestPlaces(t *testing.T) {
	h := &Host{State: t.TempDir(), Pins: t.TempDir() + "/none", Kill: t.TempDir() + "/none"}
	text := []byte("databases: [/nowhere/country.mmdb]\nrules: [{name: a, match: {country: DE}, action: drop}]")
	if err := h.state().Save(text); err != nil {
		t.Fatal(err)
	}
	_, inUse := h.InUse()
	_, apply := h.Apply("x.yaml", text, nil)
	putBack := h.putBack(nil, &xdp.Carried{})
	for what, err := range map[string]error{"in use": inUse, "apply": apply, "put back": putBack} {
		if err == nil || !strings.Contains(err.Error(), "reading the database /nowhere/country.mmdb") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	h := &Host{State: t.TempDir(), Pins: t.TempDir() + "/none", Kill: t.TempDir()}
	if _, err := h.Load(true); err == nil || !strings.Contains(err.Error(), "stays off") {
		t.Errorf("with the kill switch: %v", err)
	}
	if _, err := h.Apply("x.yaml", []byte("default: perhaps"), nil); err == nil || !strings.Contains(err.Error(), "neither pass nor drop") {
		t.Errorf("a mistake: %v", err)
	}
	if _, err := h.Apply("x.yaml", []byte("default: pass"), nil); !errors.Is(err, xdp.ErrNotThere) {
		t.Errorf("without a firewall: %v", err)
	}
	if err := h.state().Begin(); err != nil {
		t.Fatal(err)
	}
	h.Kill += "/none"
	for what, err := range map[string]error{"apply": func() error { _, err := h.Apply("x.yaml", []byte("default: pass"), nil); return err }(), "load": func() error { _, err := h.Load(true); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "waits to be confirmed") {
			t.Errorf("%s beside a trial: %v", what, err)
		}
	}
}
