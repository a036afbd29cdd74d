package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bearcat-hids/bearcat/internal/status"
)

// metric is one family: its description and how to read its samples.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s *status.Status, put func(value float64, labels ...string))
}

type collector struct {
	snapshot func() status.Status
	metrics  []metric
}

func newCollector(snapshot func() status.Status) *collector {
	var all []metric
	all = append(all, agentMetrics()...)
	all = append(all, kernelMetrics()...)
	all = append(all, pipelineMetrics()...)
	all = append(all, sinkMetrics()...)
	all = append(all, firewallMetrics()...)
	return &collector{snapshot, all}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	for _, m := range c.metrics {
		m.read(&s, func(value float64, labels ...string) {
			sample, err := prometheus.NewConstMetric(m.desc, m.kind, value, labels...)
			if err != nil { // such as a label that is not UTF-8
				sample = prometheus.NewInvalidMetric(m.desc, err)
			}
			out <- sample
		})
	}
}

type reader = func(s *status.Status, put func(value float64, labels ...string))

func counter(name, help string, labels []string, read reader) metric {
	return metric{prometheus.NewDesc("bearcat_"+name, help, labels, nil), prometheus.CounterValue, read}
}

func gauge(name, help string, labels []string, read reader) metric {
	return metric{prometheus.NewDesc("bearcat_"+name, help, labels, nil), prometheus.GaugeValue, read}
}

// one reads a family with a single sample.
func one(value func(s *status.Status) float64) reader {
	return func(s *status.Status, put func(float64, ...string)) { put(value(s)) }
}

func agentMetrics() []metric {
	return []metric{
		gauge("info", "What runs: always 1.", []string{"version", "kernel"}, func(s *status.Status, put func(float64, ...string)) {
			put(1, s.Version, s.Kernel)
		}),
		gauge("uptime_seconds", "Since the agent started.", nil, one(func(s *status.Status) float64 { return s.UptimeSeconds })),
		gauge("process_resident_memory_bytes", "Resident memory of the agent.", nil,
			one(func(s *status.Status) float64 { return float64(s.Process.RSSBytes) })),
		counter("process_cpu_seconds_total", "CPU time of the agent.", nil,
			one(func(s *status.Status) float64 { return s.Process.CPUSeconds })),
		gauge("warnings", "How many things do not work as they should; bearcat status names them.", nil,
			one(func(s *status.Status) float64 { return float64(len(s.Warnings)) })),
	}
}

func kernelMetrics() []metric {
	hook, class := []string{"event", "hook"}, []string{"class"}
	hooks := func(value func(h *status.Hook) *uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			for i := range s.Hooks {
				if v := value(&s.Hooks[i]); v != nil {
					put(float64(*v), s.Hooks[i].Event, s.Hooks[i].Hook)
				}
			}
		}
	}
	rings := func(value func(r *status.Ring) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			for i := range s.Rings {
				put(float64(value(&s.Rings[i])), s.Rings[i].Class)
			}
		}
	}
	return []metric{
		gauge("hook_attached", "Whether the hook is attached.", hook, func(s *status.Status, put func(float64, ...string)) {
			for _, h := range s.Hooks {
				v := 0.0
				if h.Attached {
					v = 1
				}
				put(v, h.Event, h.Hook)
			}
		}),
		counter("hook_runs_total", "Calls of the hook, where the kernel counts them.", hook, hooks(func(h *status.Hook) *uint64 { return h.Runs })),
		counter("hook_missed_total", "Calls that the kernel skipped.", hook, hooks(func(h *status.Hook) *uint64 { return h.Missed })),
		gauge("ring_size_bytes", "Size of the buffer between kernel and agent.", class, rings(func(r *status.Ring) uint64 { return r.Size })),
		counter("ring_received_total", "Records that were received.", class, rings(func(r *status.Ring) uint64 { return r.Received })),
		counter("ring_lost_in_kernel_total", "Records that found no room, as the kernel side counts them.", class,
			rings(func(r *status.Ring) uint64 { return r.LostInKernel })),
		counter("ring_gaps_total", "Holes in the numbers of the records.", class, rings(func(r *status.Ring) uint64 { return r.Gaps })),
		counter("ring_lost_total", "Records that are missing in those holes.", class, rings(func(r *status.Ring) uint64 { return r.LostCounted })),
	}
}

func pipelineMetrics() []metric {
	stage := []string{"stage"}
	stages := func(value func(t *status.Stage) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			for i := range s.Stages {
				put(float64(value(&s.Stages[i])), s.Stages[i].Name)
			}
		}
	}
	table := func(value func(t *status.Table) uint64) reader {
		return one(func(s *status.Status) float64 { return float64(value(&s.Table)) })
	}
	shells := func(value func(x *status.Shells) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			if s.Shells != nil {
				put(float64(value(s.Shells)))
			}
		}
	}
	hosts := func(value func(x *status.HostPaths) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			if s.HostPaths != nil {
				put(float64(value(s.HostPaths)))
			}
		}
	}
	counts := func(value func(x *status.Counts) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			if s.Counts != nil {
				put(float64(value(s.Counts)))
			}
		}
	}
	return []metric{
		counter("stage_in_total", "What came into the stage.", stage, stages(func(t *status.Stage) uint64 { return t.In })),
		counter("stage_out_total", "What came out of it.", stage, stages(func(t *status.Stage) uint64 { return t.Out })),
		counter("stage_dropped_total", "What was lost in it.", stage, stages(func(t *status.Stage) uint64 { return t.Dropped })),
		gauge("table_processes", "Processes in the table, dead ancestors included.", nil, table(func(t *status.Table) uint64 { return t.Processes })),
		gauge("table_alive", "Living processes in the table.", nil, table(func(t *status.Table) uint64 { return t.Alive })),
		gauge("table_limit", "Most processes that the table may hold.", nil, table(func(t *status.Table) uint64 { return t.Limit })),
		gauge("table_bytes", "Memory of the table.", nil, table(func(t *status.Table) uint64 { return t.Bytes })),
		counter("table_evicted_total", "Processes that were forgotten before their time.", nil, table(func(t *status.Table) uint64 { return t.Evicted })),
		counter("table_unknown_total", "Events about processes that were not in the table.", nil, table(func(t *status.Table) uint64 { return t.Unknown })),
		counter("table_resyncs_total", "Readings of the task list after a gap.", nil, table(func(t *status.Table) uint64 { return t.Resyncs })),
		gauge("shells_processes", "Processes of which it is followed what their input and output lead to.", nil, shells(func(x *status.Shells) uint64 { return x.Processes })),
		counter("shells_forgotten_total", "What was dropped of that for lack of room.", nil, shells(func(x *status.Shells) uint64 { return x.Forgotten })),
		counter("shells_found_total", "Chains from a shell to a socket.", nil, shells(func(x *status.Shells) uint64 { return x.Found })),
		counter("shells_refuted_total", "Likely chains that the kernel's descriptors denied.", nil, shells(func(x *status.Shells) uint64 { return x.Refuted })),
		counter("shells_unasked_total", "Likely chains for which the descriptors were not looked at.", nil, shells(func(x *status.Shells) uint64 { return x.Unasked })),
		counter("host_paths_asked_total", "Files of other mount namespaces whose path on the host was asked for.", nil, hosts(func(x *status.HostPaths) uint64 { return x.Asked })),
		counter("host_paths_found_total", "Those of them that the host has.", nil, hosts(func(x *status.HostPaths) uint64 { return x.Found })),
		gauge("host_paths_namespaces", "Mount namespaces that are remembered for that.", nil, hosts(func(x *status.HostPaths) uint64 { return x.Namespaces })),
		counter("host_paths_reads_total", "Lists of mounts that were read for that.", nil, hosts(func(x *status.HostPaths) uint64 { return x.Reads })),
		counter("host_paths_evicted_total", "Mount namespaces that were forgotten for lack of room.", nil, hosts(func(x *status.HostPaths) uint64 { return x.Evicted })),
		gauge("counts_groups", "Groups that rules count matches of others in.", nil, counts(func(x *status.Counts) uint64 { return x.Groups })),
		counter("counts_evicted_total", "Groups and matches of these that were forgotten for lack of room.", nil, counts(func(x *status.Counts) uint64 { return x.Evicted })),
		counter("counts_late_total", "Matches that came too late to be counted.", nil, counts(func(x *status.Counts) uint64 { return x.Late })),
		gauge("rules", "Rules by state.", []string{"state"}, func(s *status.Status, put func(float64, ...string)) {
			put(float64(s.Rules.Live), "live")
			put(float64(s.Rules.Waiting), "waiting")
			put(float64(s.Rules.Disabled), "disabled")
		}),
		counter("rule_reloads_total", "Times that the rules were put in place anew.", nil, one(func(s *status.Status) float64 { return float64(s.Rules.Reloads) })),
		counter("rule_reloads_refused_total", "Times that they had errors and the old ones stayed.", nil, one(func(s *status.Status) float64 { return float64(s.Rules.Refused) })),
		counter("alerts_total", "Alerts.", nil, one(func(s *status.Status) float64 { return float64(s.Rules.Matched) })),
		counter("alerts_suppressed_total", "Alerts that were counted and not written, as there were too many like them.", nil,
			one(func(s *status.Status) float64 { return float64(s.Rules.Suppressed) })),
		counter("alerts_forgotten_total", "Alerts that were dropped from those kept before their time.", nil,
			one(func(s *status.Status) float64 { return float64(s.Rules.Forgotten) })),
		counter("rule_alerts_total", "Alerts by rule.", []string{"rule"}, func(s *status.Status, put func(float64, ...string)) {
			for name, n := range s.Rules.ByRule {
				put(float64(n), name)
			}
		}),
	}
}

func sinkMetrics() []metric {
	label := []string{"output"}
	sinks := func(value func(k *status.Sink) uint64) reader {
		return func(s *status.Status, put func(float64, ...string)) {
			for i := range s.Sinks {
				put(float64(value(&s.Sinks[i])), s.Sinks[i].Name)
			}
		}
	}
	return []metric{
		counter("output_in_total", "Lines for the output.", label, sinks(func(k *status.Sink) uint64 { return k.In })),
		counter("output_written_total", "Lines that it took.", label, sinks(func(k *status.Sink) uint64 { return k.Out })),
		counter("output_written_bytes_total", "Bytes of those lines.", label, sinks(func(k *status.Sink) uint64 { return k.Bytes })),
		gauge("output_waiting", "Lines in its buffer.", label, sinks(func(k *status.Sink) uint64 { return k.Waiting })),
		counter("output_dropped_total", "Lines that were lost.", label, sinks(func(k *status.Sink) uint64 { return k.Dropped })),
		counter("output_dropped_alerts_total", "Alerts among them.", label, sinks(func(k *status.Sink) uint64 { return k.DroppedAlerts })),
		counter("output_errors_total", "Writes that failed.", label, sinks(func(k *status.Sink) uint64 { return k.Errors })),
	}
}
