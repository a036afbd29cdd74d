package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/status"
)

func sample() status.Status {
	runs := uint64(12)
	return status.Status{
		Version: "0.1.0", Kernel: "6.1.0", UptimeSeconds: 2.5, Process: status.Process{RSSBytes: 1024, CPUSeconds: 0.5},
		Hooks:  []status.Hook{{Event: "exec", Hook: "a", Attached: true, Runs: &runs}, {Event: "comm", Hook: "b"}},
		Rings:  []status.Ring{{Class: "critical", Size: 8, Received: 7, LostInKernel: 6, Gaps: 5, LostCounted: 4}},
		Stages: []status.Stage{{Name: "rules", In: 3, Out: 2, Dropped: 1}},
		Table:  status.Table{Processes: 10, Alive: 9, Limit: 99, Bytes: 8, Evicted: 7, Unknown: 6, Resyncs: 5},
		Rules:  status.Rules{Live: 1, Waiting: 2, Disabled: 3, Matched: 4, ByRule: map[string]uint64{"A \"rule\"": 4}},
		Sinks:  []status.Sink{{Name: "stdout", In: 9, Out: 5, Waiting: 1, Dropped: 3, DroppedAlerts: 2, Bytes: 500, Errors: 6}},
	}
}

func TestHandler(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler(sample).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	got := rec.Body.String()
	if rec.Code != http.StatusOK {
		t.Fatalf("%d: %s", rec.Code, got)
	}
	for line := range strings.Lines(`bearcat_info{kernel="6.1.0",version="0.1.0"} 1
bearcat_uptime_seconds 2.5
bearcat_process_resident_memory_bytes 1024
bearcat_process_cpu_seconds_total 0.5
bearcat_warnings 0
bearcat_hook_attached{event="exec",hook="a"} 1
bearcat_hook_attached{event="comm",hook="b"} 0
bearcat_hook_runs_total{event="exec",hook="a"} 12
bearcat_ring_size_bytes{class="critical"} 8
bearcat_ring_received_total{class="critical"} 7
bearcat_ring_lost_in_kernel_total{class="critical"} 6
bearcat_ring_gaps_total{class="critical"} 5
bearcat_ring_lost_total{class="critical"} 4
bearcat_stage_in_total{stage="rules"} 3
bearcat_stage_out_total{stage="rules"} 2
bearcat_stage_dropped_total{stage="rules"} 1
bearcat_table_processes 10
bearcat_table_alive 9
bearcat_table_limit 99
bearcat_table_bytes 8
bearcat_table_evicted_total 7
bearcat_table_unknown_total 6
bearcat_table_resyncs_total 5
bearcat_rules{state="live"} 1
bearcat_rules{state="waiting"} 2
bearcat_rules{state="disabled"} 3
bearcat_alerts_total 4
bearcat_rule_alerts_total{rule="A \"rule\""} 4
bearcat_output_in_total{output="stdout"} 9
bearcat_output_written_total{output="stdout"} 5
bearcat_output_waiting{output="stdout"} 1
bearcat_output_dropped_total{output="stdout"} 3
bearcat_output_dropped_alerts_total{output="stdout"} 2
bearcat_output_written_bytes_total{output="stdout"} 500
bearcat_output_errors_total{output="stdout"} 6
`) {
		if !strings.Contains("\n"+got, "\n"+line) {
			t.Errorf("lacks %s", line)
		}
	}
	if strings.Contains(got, "hook_missed_total{") || strings.Contains(got, `runs_total{event="comm"`) {
		t.Error("counts are shown that the kernel did not give")
	}
}

func TestServe(t *testing.T) {
	s, err := Serve("127.0.0.1:0", sample)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr().String()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/": 404} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s gives %d, want %d", path, resp.StatusCode, want)
		}
	}
	if _, err := Serve(s.Addr().String(), sample); err == nil || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("a taken address gives %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(base + "/metrics"); err == nil {
		t.Error("still served after the end")
	}
}
