package hist

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/bearcat-hids/bearcat/internal/kernel"
	"github.com/bearcat-hids/bearcat/internal/process"
)

// reading is what has been read of the maps, again and again where the times are told by
// interval.
type reading struct {
	o      Options
	groups *kernel.Groups // for the names of control groups and containers
	rows   map[string]*gathered
}

// gathered is the histogram of a group as the kernel has it, and what it was at the end
// of the interval before.
type gathered struct {
	progHist
	before  [slots]uint64
	columns []Column
}

func newReading(o Options) (*reading, error) {
	r := &reading{o: o, rows: map[string]*gathered{}}
	if o.By != ByCgroup && o.By != ByContainer {
		return r, nil
	}
	var err error
	r.groups, err = kernel.OpenGroups()
	return r, err
}

// read takes the histograms from the map as they are now. Groups of the map that have
// the same name become one.
func (r *reading) read(coll *ebpf.Collection) error {
	if r.groups != nil {
		r.groups.Read()
	}
	for _, g := range r.rows {
		g.progHist = progHist{}
	}
	add := func(name string, h *progHist) {
		g := r.rows[name]
		if g == nil {
			g = &gathered{}
			r.rows[name] = g
		}
		g.Count, g.Sum, g.Max = g.Count+h.Count, g.Sum+h.Sum, max(g.Max, h.Max)
		for i, n := range h.Slot {
			g.Slot[i] += n
		}
	}
	if r.o.By == ByAll {
		var all []progHist // one for each processor
		if err := coll.Maps["together"].Lookup(uint32(0), &all); err != nil {
			return fmt.Errorf("reading the histogram: %w", err)
		}
		for i := range all {
			if all[i].Count > 0 {
				add(r.group(0, ""), &all[i])
			}
		}
		return nil
	}
	var key progHistKey
	var h progHist
	it := coll.Maps["hists"].Iterate()
	for it.Next(&key, &h) {
		add(r.group(key.Id, kernel.Text(key.Name[:])), &h)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the histograms: %w", err)
	}
	return nil
}

// group is the name of a group of the map.
func (r *reading) group(id uint64, name string) string {
	switch r.o.By {
	case ByProcess:
		return name + "[" + strconv.FormatUint(id, 10) + "]"
	case ByCPU:
		return "cpu " + strconv.FormatUint(id, 10)
	case ByOwn, ByDevice:
		return r.o.Kind.label(uint32(id), name)
	case ByCgroup:
		if path := r.groups.Path(id); path != "" {
			return path
		}
		return "group " + strconv.FormatUint(id, 10) + ", gone"
	case ByContainer:
		path := r.groups.Path(id)
		if path == "" {
			return "groups that are gone"
		}
		if c := process.ParseCgroup(id, path); c.ContainerID != "" {
			return c.ContainerID
		}
		return "no container"
	}
	return "all"
}

// interval ends one: what came since the one before is a column.
func (r *reading) interval(number int) {
	for _, g := range r.rows {
		var since [slots]uint64
		for i, n := range g.Slot {
			since[i] = n - min(n, g.before[i])
		}
		g.before = g.Slot
		if b := buckets(since[:]); len(b) > 0 {
			g.columns = append(g.columns, Column{number, b})
		}
	}
}

// finish makes the result's rows.
func (r *reading) finish() []Row {
	rows := []Row{}
	for name, g := range r.rows {
		row := Row{Group: name, Count: g.Count, Sum: g.Sum, Max: g.Max, Columns: g.columns}
		row.fill(g.Slot[:])
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(b.Sum, a.Sum), cmp.Compare(a.Group, b.Group)) })
	return rows
}

// bounds are the nanoseconds of a slot: from the first, and not to the second.
func bounds(slot int) (from, to uint64) {
	if slot < sub {
		return uint64(slot), uint64(slot) + 1
	}
	log, part := slot/sub, slot%sub
	from = 1<<log + uint64(part)<<(log-2)
	return from, from + 1<<(log-2)
}

// fill makes buckets and percentiles of the kernel's slots.
func (r *Row) fill(slot []uint64) {
	total := uint64(0)
	for _, n := range slot {
		total += n
	}
	percentile := func(p uint64) uint64 {
		if total == 0 {
			return 0
		}
		want, seen := (total*p+99)/100, uint64(0)
		for i, n := range slot {
			if seen += n; seen >= want {
				from, to := bounds(i)
				return min(from+(to-from)/2, max(r.Max, from))
			}
		}
		return r.Max
	}
	r.P50, r.P90, r.P99 = percentile(50), percentile(90), percentile(99)
	r.Buckets = buckets(slot)
}

// buckets are the powers of two that have something.
func buckets(slot []uint64) (out []Bucket) {
	for i, n := range slot {
		if n == 0 {
			continue
		}
		from, to := bounds(i)
		if i >= sub { // the whole power of two
			from, to = 1<<(i/sub), 1<<(i/sub+1)
		}
		if k := len(out); k > 0 && out[k-1].From == from {
			out[k-1].N += n
			continue
		}
		out = append(out, Bucket{from, to, n})
	}
	return out
}
