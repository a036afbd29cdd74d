package flame

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestPerfetto reads the trace back: each slice lies within the one that called it, none
// overlaps the one beside it, and the outermost together are all that was counted.
func TestPerfetto(t *testing.T) {
	for unit, scale := range map[string]float64{"calls": 1, "nanoseconds": 0.001} {
		r := sample()
		r.Unit, r.Rate = unit, 0
		var b bytes.Buffer
		if err := r.WritePerfetto(&b); err != nil {
			t.Fatal(err)
		}
		var trace struct {
			Events []struct {
				Name, Ph string
				Ts, Dur  float64
				Pid, Tid int
				Args     map[string]any
			} `json:"traceEvents"`
		}
		if err := json.Unmarshal(b.Bytes(), &trace); err != nil {
			t.Fatalf("%v: %s", err, b.String())
		}
		type open struct{ from, to float64 }
		stacks := map[int][]open{} // by group: the slices that are open, the outermost first
		groups, total, frames := map[string]bool{}, 0.0, 0
		const near = 1e-6
		for _, e := range trace.Events {
			if e.Ph == "M" {
				groups[e.Args["name"].(string)] = true
				continue
			}
			frames++
			in := stacks[e.Pid]
			for len(in) > 0 && e.Ts >= in[len(in)-1].to-near {
				in = in[:len(in)-1]
			}
			if len(in) == 0 {
				total += e.Dur
			} else if last := in[len(in)-1]; e.Ts < last.from-near || e.Ts+e.Dur > last.to+near {
				t.Errorf("%s, %f to %f, is not within %+v", e.Name, e.Ts, e.Ts+e.Dur, last)
			}
			stacks[e.Pid] = append(in, open{e.Ts, e.Ts + e.Dur})
			if weight := e.Args["weight"].(float64); weight*scale < e.Dur-near || weight*scale > e.Dur+near || e.Args["unit"] != unit {
				t.Errorf("%s: %v for %f µs", e.Name, e.Args, e.Dur)
			}
		}
		if want := float64(r.tree().weight) * scale; total < want-near || total > want+near || frames < 4 {
			t.Errorf("%d slices, the outermost %f long, want %f", frames, total, want)
		}
		for _, s := range r.Stacks {
			if !groups[clean(s.Comm)] {
				t.Errorf("there is no track for %q in %v", s.Comm, groups)
			}
		}
	}
	var b bytes.Buffer
	if err := (&Result{}).WritePerfetto(&b); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("of nothing: %v, %s", err, b.String())
	}
}
