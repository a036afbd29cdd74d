package kernel

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

func TestSourcesOf(t *testing.T) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"a": {Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sched_switch"},
		"b": {Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "sched_switch"},
		"c": {Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task"},
		"d": {Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "vfs_read"},
		"e": {Type: ebpf.PerfEvent},
		"f": {Type: ebpf.SocketFilter},
	}}
	got := SourcesOf(spec, map[string]string{"a": "half", "c": "whose it was", "d": ""})
	want := []Source{
		{Kind: Function, Name: "vfs_read", Optional: true}, {Kind: Iterator, Name: "task", Optional: true, Lacks: "whose it was"},
		{Kind: Clock, Name: "cpu-clock"}, {Kind: Tracepoint, Name: "sched_switch"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

func TestObserverCheck(t *testing.T) {
	o := Observer{Name: "trace x", Sources: []Source{
		{Kind: Tracepoint, Name: "a", There: true}, {Kind: Tracepoint, Name: "b", There: true}, {Kind: Iterator, Name: "c", There: true},
		{Kind: Tracepoint, Name: "d", Optional: true}, {Kind: Tracepoint, Name: "e", Optional: true, There: true, Lacks: "nothing is lacking"},
	}}
	if c := o.Check(); c.State != OK || c.Detail != "3 tracepoints, 1 iterator" || c.Advice != "" || len(c.Sources) != 5 {
		t.Errorf("%+v", c)
	}
	o.Sources[3].Lacks = "who"
	if c := o.Check(); c.State != Limited || !strings.HasSuffix(c.Detail, "; not told: who") {
		t.Errorf("%+v", c)
	}
	o.Sources[0].There = false
	if c := o.Check(); c.State != Absent || !strings.Contains(c.Detail, "no tracepoint a") {
		t.Errorf("%+v", c)
	}
}
