package waterfall

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

var stages = []Stage{
	{Name: "call", Detail: "read()", Source: "sys_enter"},
	{Name: "asleep", At: 3000, Took: 3000, Source: "sched_switch"},
	{Name: "done", At: 43_000, Took: 40_000, CPU: 1, Detail: "= 5", Source: "sys_exit"},
}

func TestText(t *testing.T) {
	var b strings.Builder
	Text(&b, stages, strings.ToUpper)
	for _, want := range []string{"+0.0us", "READ()", "40.0us |####################| done", "3.0us |#                   | asleep", "(sys_exit, cpu1)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, b.String())
		}
	}
	if got := Share(stages, 43_000); got != `93% before "done"` {
		t.Errorf("share %q", got)
	}
	if got := Share(nil, 0); got != "" {
		t.Errorf("share of nothing %q", got)
	}
}

func TestTrace(t *testing.T) {
	var b bytes.Buffer
	c := NewTrace(&b)
	for i := range 2 {
		if err := c.Add("calls", uint64(i), "one", time.Unix(5, 0), stages); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Ph      string
			Ts, Dur float64
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &trace); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, e := range trace.TraceEvents {
		sum += e.Dur
	}
	if sum != 86 || len(trace.TraceEvents) != 7 {
		t.Errorf("%d events, slices of %f µs, want 7 and 86", len(trace.TraceEvents), sum)
	}
	b.Reset()
	if err := NewTrace(&b).Close(); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("a trace of nothing: %v, %s", err, b.String())
	}
}
