package drop

import (
	"slices"

	"github.com/bearcat-hids/bearcat/internal/kernel"
)

// owners are those of the sockets that are asked for.
type owners struct {
	o    Options
	pids map[uint32]bool // those of the control group, nil without one
}

// newOwners returns nil where all packets are wanted.
func newOwners(o Options) *owners {
	if o.Pid == 0 && o.Comm == "" && o.Scope.Kind != kernel.ScopeCgroup {
		return nil
	}
	w := &owners{o: o}
	if o.Scope.Kind == kernel.ScopeCgroup {
		w.pids = map[uint32]bool{}
		o.Scope.AddPids(w.pids)
	}
	return w
}

func (w *owners) hold(row *Row) bool {
	return row.Pid != 0 && (w.o.Pid == 0 || row.Pid == w.o.Pid) && (w.o.Comm == "" || row.Process == w.o.Comm) && (w.pids == nil || w.pids[row.Pid])
}

// choose keeps the drops of the owners. A process that joined the control group
// meanwhile counts too; one that came and went is not seen.
func (r *Result) choose(w *owners) {
	if w.pids != nil {
		w.o.Scope.AddPids(w.pids)
	}
	r.Rows = slices.DeleteFunc(r.Rows, func(row Row) bool { return !w.hold(&row) })
	r.Packets, r.Chosen = 0, true
	for _, row := range r.Rows {
		r.Packets += row.Packets
	}
}
