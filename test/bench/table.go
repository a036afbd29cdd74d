package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Host is where something was measured.
type Host struct {
	Kernel string    `json:"kernel"`
	CPUs   int       `json:"cpus"`
	Date   time.Time `json:"date"`
	// Guest is the kernel's name in the test matrix, "" outside of a guest.
	Guest string `json:"guest,omitempty"`
	// Counted is true where the guest's time advances with instructions.
	Counted bool `json:"counted"`
}

func readHost() Host {
	h := Host{CPUs: runtime.NumCPU(), Date: time.Now().UTC().Truncate(time.Second)}
	h.Guest, h.Counted = guestKind()
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return h
}

func (h Host) String() string {
	where := "this kernel"
	if h.Guest != "" {
		where = "emulated guest"
	}
	if h.Counted {
		where += ", instruction-counted time"
	}
	return fmt.Sprintf("Linux %s, %d CPU, %s, %s", h.Kernel, h.CPUs, where, h.Date.Format(time.DateOnly))
}

// WriteText prints the tables.
func (c *Cost) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s; medians of %d pairs in one boot\n\n", c.Host, c.Pairs)
	if err := c.writeRatios(w); err != nil {
		return err
	}
	for _, table := range []func(io.Writer) error{c.writeTargets, c.writeParts, c.writeSeen, c.writeDiscarded, c.writeDetails, c.writeKernelTimes} {
		if err := table(w); err != nil {
			return err
		}
	}
	c.writePrograms(w)
	for _, s := range c.Skipped {
		fmt.Fprintf(w, "not measured: %s\n", s)
	}
	return nil
}

func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
}

func (c *Cost) writeRatios(w io.Writer) error {
	t := newTable(w)
	fmt.Fprintf(t, "time of one operation\t%s\n", strings.Join(c.Work, "\t"))
	if len(c.Agents) > 0 {
		fmt.Fprint(t, "without an agent")
		for _, name := range c.Work {
			fmt.Fprintf(t, "\t%s", shortTime(median(c.Agents[0].Work[name].Without)))
		}
		fmt.Fprintln(t)
	}
	for _, a := range c.Agents {
		fmt.Fprint(t, a.Label)
		for _, name := range c.Work {
			p := a.Work[name]
			fmt.Fprintf(t, "\t%.2f (%s)", p.Ratio(), signedTime(float64(p.Added())))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\nsmallest and largest pair")
	for range c.Work {
		fmt.Fprint(t, "\t")
	}
	fmt.Fprintln(t)
	for _, a := range c.Agents {
		fmt.Fprint(t, a.Label)
		for _, name := range c.Work {
			low, high := a.Work[name].Spread()
			fmt.Fprintf(t, "\t%.2f to %.2f", low, high)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// writeDiscarded prints which share of the records that come without filters in the kernel
// does not come with them.
func (c *Cost) writeDiscarded(w io.Writer) error {
	var with, without *AgentCost
	for i := range c.Agents {
		switch a := &c.Agents[i]; a.Name {
		case Falco:
			with = a
		case FalcoAll:
			without = a
		}
	}
	if with == nil || without == nil {
		return nil
	}
	t := newTable(w)
	fmt.Fprintf(t, "\nrecords of calls\t%s\n", strings.Join(c.Work, "\t"))
	for _, a := range []*AgentCost{with, without} {
		fmt.Fprint(t, a.Label)
		for _, name := range c.Work {
			fmt.Fprintf(t, "\t%d", a.Work[name].Received)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "discarded in the kernel")
	for _, name := range c.Work {
		all, some := without.Work[name].Received, with.Work[name].Received
		if all == 0 || some > all {
			fmt.Fprint(t, "\t-")
			continue
		}
		fmt.Fprintf(t, "\t%.2f %%", 100*float64(all-some)/float64(all))
	}
	fmt.Fprintln(t)
	return t.Flush()
}

func (c *Cost) writeDetails(w io.Writer) error {
	t := newTable(w)
	fmt.Fprintln(t, "\nagent\tBPF programs, one exec\tagent process, one exec\tlost (all work)\talerts\tRSS\tpeak\tmaps\tprograms\tstart")
	for _, a := range c.Agents {
		if a.Programs == 0 {
			continue
		}
		e := a.Work["exec"]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%s\n", a.Label, shortTime(float64(e.KernelTime)), shortTime(float64(e.AgentCPU)),
			a.Lost, a.Alerts, megabytes(a.RSS), megabytes(a.PeakRSS), megabytes(a.MapBytes), a.Programs, shortTime(float64(a.Startup)))
	}
	return t.Flush()
}

// shortTime prints nanoseconds with three digits and a unit.
func shortTime(ns float64) string {
	units := []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}}
	for _, u := range units {
		if v := ns / u.size; v >= 1 || v <= -1 {
			digits := 0
			if v < 10 && v > -10 {
				digits = 1
			}
			if u.name == "ns" {
				digits = 0
			}
			if u.name == "s" {
				digits = 2
			}
			return fmt.Sprintf("%.*f %s", digits, v, u.name)
		}
	}
	return "0"
}

func signedTime(ns float64) string {
	s := shortTime(ns)
	if !strings.HasPrefix(s, "-") && s != "0" {
		s = "+" + s
	}
	return s
}

func megabytes(n uint64) string {
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
