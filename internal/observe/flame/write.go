package flame

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// clean makes a name of unknown origin fit for lines and for XML: one line, UTF-8, no
// control characters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == 0xfffd, r == 0xfffe, r == 0xffff:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// WriteFolded writes a line for each stack: the process's name and the functions,
// outermost first, divided by semicolons, and the weight.
func (r *Result) WriteFolded(w io.Writer) error {
	b := bufio.NewWriter(w)
	sums := map[string]uint64{}
	var order []string
	for _, s := range r.Stacks {
		parts := []string{foldable(s.Comm)}
		for _, f := range s.Frames {
			parts = append(parts, foldable(f.Name))
		}
		line := strings.Join(parts, ";")
		if _, ok := sums[line]; !ok {
			order = append(order, line)
		}
		sums[line] += s.Weight
	}
	for _, line := range order {
		fmt.Fprintf(b, "%s %d\n", line, sums[line])
	}
	return b.Flush()
}

func foldable(s string) string { return strings.ReplaceAll(clean(s), ";", ":") }

// WritePprof writes the profile that `go tool pprof` and others read.
func (r *Result) WritePprof(w io.Writer) error {
	p := &profile.Profile{DurationNanos: int64(r.Took * 1e9), TimeNanos: time.Now().UnixNano()}
	unit := map[string]string{"nanoseconds": "nanoseconds", "bytes": "bytes"}[r.Unit]
	period := int64(0)
	switch {
	case r.Rate > 0:
		period = int64(time.Second) / int64(r.Rate)
		p.SampleType = []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}
		p.PeriodType, p.Period = &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, period
	case unit != "":
		p.SampleType = []*profile.ValueType{{Type: "count", Unit: "count"}, {Type: r.Kind, Unit: unit}}
	default:
		p.SampleType = []*profile.ValueType{{Type: r.Unit, Unit: "count"}}
	}
	locations := map[Frame]*profile.Location{}
	for _, s := range r.Stacks {
		sample := &profile.Sample{Label: map[string][]string{"comm": {clean(s.Comm)}}, NumLabel: map[string][]int64{"pid": {int64(s.Pid)}}}
		switch {
		case period > 0:
			sample.Value = []int64{int64(s.Count), int64(s.Count) * period}
		case unit != "":
			sample.Value = []int64{int64(s.Count), int64(s.Weight)}
		default:
			sample.Value = []int64{int64(s.Count)}
		}
		for i := len(s.Frames) - 1; i >= 0; i-- {
			f := s.Frames[i]
			l := locations[f]
			if l == nil {
				id := uint64(len(locations) + 1)
				fn := &profile.Function{ID: id, Name: clean(f.Name), SystemName: clean(f.Name), Filename: clean(f.File)}
				l = &profile.Location{ID: id, Line: []profile.Line{{Function: fn}}}
				locations[f] = l
				p.Function, p.Location = append(p.Function, fn), append(p.Location, l)
			}
			sample.Location = append(sample.Location, l)
		}
		p.Sample = append(p.Sample, sample)
	}
	if err := p.CheckValid(); err != nil {
		return fmt.Errorf("making the profile: %w", err)
	}
	if err := p.Write(w); err != nil {
		return fmt.Errorf("writing the profile: %w", err)
	}
	return nil
}
