package kernel

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Hook is an attached program: what it sees and how it fares.
type Hook struct {
	// Event is what the hook tells of, such as "exec"; Name where it hangs,
	// such as "tp_btf/sched_process_exec".
	Event, Name string
	Stream      uint8

	prog *ebpf.Program
	link io.Closer
}

// AttachTracepoint attaches a program of tp_btf, fentry or fexit, whose records
// count in a stream.
func AttachTracepoint(event, name string, stream uint8, prog *ebpf.Program) (*Hook, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err != nil {
		return nil, fmt.Errorf("attaching %s for %s events: %w", name, event, err)
	}
	return &Hook{Event: event, Name: name, Stream: stream, prog: prog, link: l}, nil
}

// HookStatus is a hook's account, as `bearcat status` shows it.
type HookStatus struct {
	Event    string `json:"event"`
	Hook     string `json:"hook"`
	Attached bool   `json:"attached"`
	// Runs is only counted by kernels with bpf_stats enabled.
	Runs uint64 `json:"runs"`
	// Runtime is what the runs took, where they are counted.
	Runtime time.Duration `json:"runtime_ns"`
	// Missed counts calls that the kernel skipped because the program was
	// already running on that CPU. Where the program is attached in Copies,
	// it is the least of their counts, and a bound: what one missed another
	// has most likely handled.
	Missed uint64 `json:"missed"`
	Copies int    `json:"copies,omitempty"`
	// Stream is the number of the series that its records count in.
	Stream uint8 `json:"stream"`
	// Error says why the hook is not attached.
	Error string `json:"error,omitempty"`
}

// CountsMisses reports whether the kernel counts the calls that it skips: it
// does since 5.12.
func CountsMisses() bool { return ParseVersion(Release()).AtLeast(5, 12) }

// Status asks the kernel for the hook's account.
func (h *Hook) Status() HookStatus {
	s := HookStatus{Event: h.Event, Hook: h.Name, Stream: h.Stream, Attached: true}
	st, err := h.prog.Stats()
	if err != nil {
		if !errors.Is(err, ebpf.ErrNotSupported) {
			s.Error = err.Error()
		}
		return s
	}
	s.Runs, s.Runtime, s.Missed = st.RunCount, st.Runtime, st.RecursionMisses
	return s
}

// MergeCopies gives the account of hooks of which some are copies of one
// program: one entry for each name. A program with several links counts once.
func MergeCopies(hooks []*Hook) []HookStatus {
	var out []HookStatus
	at := map[string]int{}
	seen := map[*ebpf.Program]bool{}
	for _, h := range hooks {
		if seen[h.prog] {
			continue
		}
		seen[h.prog] = h.prog != nil
		st := h.Status()
		i, ok := at[st.Hook]
		if !ok {
			at[st.Hook] = len(out)
			out = append(out, st)
			continue
		}
		out[i].Runs = max(out[i].Runs, st.Runs)
		out[i].Runtime += st.Runtime
		out[i].Missed = min(out[i].Missed, st.Missed)
		out[i].Copies = max(out[i].Copies, 1) + 1
	}
	return out
}

// Close detaches the program.
func (h *Hook) Close() error { return h.link.Close() }
