package call

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/test/kernel/guest"
)

// hooksOf names a sensor's hooks for calls: those attached, and those refused.
func hooksOf(s *Sensor) (attached, refused []string) {
	for _, h := range s.Hooks() {
		switch {
		case h.Event != "calls":
		case h.Attached:
			attached = append(attached, h.Hook)
		default:
			refused = append(refused, h.Hook)
		}
	}
	return attached, refused
}

// TestRung says on which kernels the calls' own functions are used.
func TestRung(t *testing.T) {
	w := observe(t)
	want := []string{"tp_btf/sys_exit"}
	if guest.Name() != "" && kernel.ParseVersion(kernel.Release()).AtLeast(7, 2) {
		want = []string{hookReturn}
	}
	attached, refused := hooksOf(w.sensor)
	expect(t, "hooks", slices.Equal(attached, want), true)
	expect(t, "refused hooks", len(refused), 0)
	for _, h := range w.sensor.Hooks() {
		if h.Event == "calls" && kernel.ParseVersion(kernel.Release()).AtLeast(6, 19) {
			expect(t, "copies", h.Copies, preemptCopies)
		}
	}
}

// TestCallRefusedBySeccomp: a call that a filter refuses is told like any other,
// although its function never runs.
func TestCallRefusedBySeccomp(t *testing.T) {
	w := observe(t)
	calls := w.start(t, "refused").calls()
	expect(t, "calls", len(calls), 3)
	for _, d := range calls {
		w.saw(t, d)
	}
	for _, d := range calls {
		expect(t, "how often it is told", w.count(event.Mkdir, is(d)), 1)
	}
}

// TestRungFalls has the kernel refuse the links of the narrow rung after it took the
// programs: the calls are then seen at sys_exit.
func TestRungFalls(t *testing.T) {
	guest.NeedKernel(t)
	tr, err := kernel.NewTransport(kernel.DefaultCriticalSize, kernel.DefaultBulkSize)
	need(t, err)
	defer tr.Close()
	s, err := New(tr, Options{Types: event.TypesOf(event.Mkdir)})
	need(t, err)
	defer func() { need(t, s.Close()) }()
	if s.rung == nil {
		if guest.Name() != "" && kernel.ParseVersion(kernel.Release()).AtLeast(7, 2) {
			t.Fatalf("the rung is not in use: %v", s.Hooks())
		}
		need(t, s.Attach())
		attached, _ := hooksOf(s)
		expect(t, "hooks", slices.Equal(attached, []string{"tp_btf/sys_exit"}), true)
		return
	}
	for f := range s.rung.ids {
		s.rung.ids[f] = 1 // no function
	}
	need(t, s.Attach())
	attached, refused := hooksOf(s)
	expect(t, "hooks", slices.Equal(attached, []string{"tp_btf/sys_exit"}), true)
	expect(t, "refused hooks", slices.Equal(refused, []string{hookReturn}), true)
}

// TestRetargetRung adds and takes away types while the programs run: each call is
// told once while it is wanted, and not at all while it is not.
func TestRetargetRung(t *testing.T) {
	guest.NeedKernel(t)
	f, err := newFeed(kernel.DefaultBulkSize, Options{Types: event.TypesOf(event.Mkdir)})
	need(t, err)
	defer func() { need(t, f.close()) }()
	w := &observer{feed: f, t: t}
	dir := newDir(t)
	var made []done
	var wanted []int
	for i, types := range []event.TypeSet{
		event.TypesOf(event.Mkdir), event.TypesOf(event.Mkdir, event.Rename), event.TypesOf(event.Rename), event.TypesOf(event.TypeNone), event.TypesOf(event.Mkdir, event.Rename),
	} {
		need(t, f.sensor.Retarget(Want{Types: types}))
		name := dir + "/" + string(rune('a'+i))
		for _, d := range []done{ok(t, do("mkdir", name, 0o755)), ok(t, do("rename", name, name+"2"))} {
			n := 0
			if types.Has(event.CallNamed(d.Name).Type) {
				n = 1
			}
			made, wanted = append(made, d), append(wanted, n)
		}
	}
	need(t, f.stop())
	for i, d := range made {
		expect(t, fmt.Sprintf("%s of %s", d.Name, d.Strs[0]), w.count(event.CallNamed(d.Name).Type, is(d)), wanted[i])
	}
}
