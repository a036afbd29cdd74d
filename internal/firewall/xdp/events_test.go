package xdp

import (
	"testing"
	"time"
)

// TestFloods goes through what a flood looks like at each look.
func TestFloods(t *testing.T) {
	w := &Floods{told: map[Flood]time.Time{}}
	now := time.Unix(1e9, 0)
	asked := 0
	look := func(after time.Duration, rule, ban, telnet, web uint64) *Flood {
		t.Helper()
		now = now.Add(after)
		f, err := w.judge(map[string]uint64{"rule": rule, "ban": ban}, now, func() (map[string]uint64, error) {
			asked++
			return map[string]uint64{"telnet": telnet, "web": web}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for i, f := range []*Flood{
		look(0, 1e6, 0, 0, 0),                  // what was before does not count
		look(2*time.Second, 1e6+1900, 0, 0, 0), // under the rate
	} {
		if f != nil || asked > 0 {
			t.Errorf("look %d: %+v, rules asked for %d times", i, f, asked)
		}
	}
	if f := look(2*time.Second, 1e6+9000, 0, 9000, 50000); f != nil {
		t.Errorf("the rule cannot be known yet: %+v", f)
	}
	if f := look(2*time.Second, 1e6+29000, 0, 28000, 51000); f == nil || *f != (Flood{"rule", "telnet", 10000}) {
		t.Errorf("%+v", f)
	}
	if f := look(2*time.Second, 1e6+49000, 0, 48000, 51000); f != nil {
		t.Errorf("told again: %+v", f)
	}
	if f := look(2*time.Second, 1e6+49000, 4000, 48000, 51000); f == nil || *f != (Flood{"ban", "", 2000}) {
		t.Errorf("a flood of another reason: %+v", f)
	}
	if f := look(2*time.Minute, 1e6+49000, 4e6, 48000, 51000); f == nil || f.Reason != "ban" {
		t.Errorf("after a while: %+v", f)
	}
	if f := look(2*time.Second, 100, 100, 0, 0); f != nil {
		t.Errorf("counters that began anew: %+v", f)
	}
}
