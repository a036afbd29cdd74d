package hist

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slotOf is what the kernel's program does, the plain way.
func slotOf(ns uint64) int {
	if ns < sub {
		return int(ns)
	}
	log := 0
	for v := ns; v > 1; v >>= 1 {
		log++
	}
	return log*sub + int(ns>>(log-2)&(sub-1))
}

// TestBounds checks that each time lies within its slot, and that slots leave no gap.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ns := rapid.Uint64Range(0, 1<<62).Draw(rt, "ns")
		if from, to := bounds(slotOf(ns)); ns < from || ns >= to {
			rt.Fatalf("%d is in slot %d, which goes from %d to %d", ns, slotOf(ns), from, to)
		}
	})
	last := uint64(sub)
	for slot := 2 * sub; slot < 62*sub; slot++ {
		from, to := bounds(slot)
		if from != last || to <= from {
			t.Fatalf("slot %d goes from %d to %d, and the one before to %d", slot, from, to, last)
		}
		last = to
	}
}

func TestFill(t *testing.T) {
	var slot [slots]uint64
	var r Row
	for ns := uint64(1000); ns <= 100_000; ns += 1000 {
		slot[slotOf(ns)]++
		r.Max = ns
	}
	r.fill(slot[:])
	for name, x := range map[string][2]uint64{"p50": {r.P50, 50_000}, "p90": {r.P90, 90_000}, "p99": {r.P99, 99_000}} {
		if got, want := float64(x[0]), float64(x[1]); got < want*0.85 || got > want*1.15 {
			t.Errorf("%s is %v, want about %v", name, got, want)
		}
	}
	n := uint64(0)
	for _, b := range r.Buckets {
		n += b.N
	}
	if n != 100 || len(r.Buckets) > 8 {
		t.Errorf("%d times in %d buckets", n, len(r.Buckets))
	}
	r = Row{}
	r.fill(make([]uint64, slots))
	if r.P50 != 0 || len(r.Buckets) != 0 {
		t.Errorf("nothing gives %+v", r)
	}
}

func TestCheck(t *testing.T) {
	kind := func(name string) Kind {
		k, ok := KindNamed(name)
		if !ok {
			t.Fatalf("there is no kind %s", name)
		}
		return k
	}
	for want, o := range map[string]Options{
		"nothing of its own":  {Kind: kind("oncpu"), By: ByOwn},
		"no process":          {Kind: kind("softirq"), By: ByProcess},
		"none can be chosen":  {Kind: kind("irq"), By: ByAll, Pid: 1},
		"no device":           {Kind: kind("runq"), By: ByDevice},
		"no network":          {Kind: kind("softirq"), By: ByAll, Net: 1},
		"belongs to no":       {Kind: kind("block"), By: ByContainer},
		"there is no process": {Kind: kind("runq"), By: ByAll, Pid: 1 << 30},
		"longer than the":     {Kind: kind("runq"), By: ByAll, Comm: "a-name-of-sixteen"},
	} {
		if err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", o, err, want)
		}
	}
	if _, ok := KindNamed("none"); ok {
		t.Error("there is a kind none")
	}
}
