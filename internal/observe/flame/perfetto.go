package flame

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/bearcat-hids/bearcat/internal/observe/waterfall"
)

// WritePerfetto writes the stacks as a trace that ui.perfetto.dev and chrome://tracing
// open: a track for each process's name, with a slice for each frame below the frame that
// called it. Stacks are counted and not kept one by one, so what lies side by side is in
// no order of time; how long a slice is, is its weight.
func (r *Result) WritePerfetto(w io.Writer) error {
	t := waterfall.NewTrace(w)
	root := r.tree()
	for i, n := range sorted(root) {
		name := clean(n.frame.Name)
		if err := t.Name(name, uint64(i+1), name+", by "+r.Unit); err != nil {
			return err
		}
		if err := r.slices(t, n, name, uint64(i+1), 0); err != nil {
			return err
		}
	}
	return t.Close()
}

// slices writes a frame that begins behind a weight, and those that it called.
func (r *Result) slices(t *waterfall.Trace, n *node, group string, track, before uint64) error {
	args := map[string]any{"weight": n.weight, "unit": r.Unit}
	if n.frame.File != "" {
		args["file"] = clean(n.frame.File)
	}
	from, to := r.time(before), r.time(before+n.weight)
	if err := t.Slice(group, track, clean(n.frame.Name), from, to-from, args); err != nil {
		return err
	}
	for _, child := range sorted(n) {
		if err := r.slices(t, child, group, track, before); err != nil {
			return err
		}
		before += child.weight
	}
	return nil
}

// time is how long a weight is drawn: nanoseconds as they are, samples as the time that
// each stands for, and what else there is as microseconds.
func (r *Result) time(weight uint64) time.Duration {
	switch {
	case r.Unit == "nanoseconds":
		return time.Duration(weight)
	case r.Rate > 0:
		return time.Duration(weight) * time.Second / time.Duration(r.Rate)
	}
	return time.Duration(weight) * time.Microsecond
}

// sorted are the frames that one called, the heaviest first.
func sorted(n *node) []*node {
	out := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), compareFrames(a.frame, b.frame))
	})
	return out
}
