// Package status is what a running agent says of itself: the Status struct,
// its rendering as text, and the unix socket over which "bearcat status" asks
// for it. The agent fills a Status on demand and serves it; the commands query
// and print it; package metrics exposes the same struct to Prometheus.
package status

import "time"

// Status is a snapshot of a running agent. Its JSON is what "bearcat status
// --json" prints.
type Status struct {
	Version string    `json:"version"`
	Pid     int       `json:"pid"`
	Host    string    `json:"host"`
	Kernel  string    `json:"kernel"`
	Scope   string    `json:"scope"`
	Started time.Time `json:"started"`
	// UptimeSeconds is since Started.
	UptimeSeconds float64 `json:"uptime_seconds"`
	Process       Process `json:"process"`
	Hooks         []Hook  `json:"hooks"`
	Rings         []Ring  `json:"rings"`
	Stages        []Stage `json:"stages"`
	Table         Table   `json:"table"`
	Rules         Rules   `json:"rules"`
	Sinks         []Sink  `json:"sinks"`
	// Warnings are sentences about what does not work as it should.
	Warnings []string `json:"warnings,omitempty"`
}

// Process is what the agent itself uses.
type Process struct {
	RSSBytes   uint64  `json:"rss_bytes"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// Hook is a place in the kernel where a program of the agent runs.
type Hook struct {
	// Event is what it reports, such as "exec"; Hook where it is attached.
	Event    string `json:"event"`
	Hook     string `json:"hook"`
	Attached bool   `json:"attached"`
	// Runs and Missed count calls, and calls that the kernel skipped; nil
	// where the kernel does not count.
	Runs   *uint64 `json:"runs,omitempty"`
	Missed *uint64 `json:"missed,omitempty"`
	// Note says why it is not attached or what is not seen without it.
	Note string `json:"note,omitempty"`
}

// Ring is a buffer between kernel and agent.
type Ring struct {
	Class    string `json:"class"`
	Size     uint64 `json:"size"`
	Received uint64 `json:"received"`
	// LostInKernel is the kernel's count of records that found no room;
	// LostCounted the agent's, from holes in their numbers, in Gaps holes.
	LostInKernel uint64 `json:"lost_in_kernel"`
	Gaps         uint64 `json:"gaps"`
	LostCounted  uint64 `json:"lost_counted"`
}

// Stage is a part of the pipeline.
type Stage struct {
	Name    string `json:"name"`
	In      uint64 `json:"in"`
	Out     uint64 `json:"out"`
	Dropped uint64 `json:"dropped"`
}

// Table is the process table.
type Table struct {
	Processes uint64 `json:"processes"`
	Alive     uint64 `json:"alive"`
	Limit     uint64 `json:"limit"`
	Bytes     uint64 `json:"bytes"`
	// Evicted counts processes that were forgotten before their time for
	// lack of room; Unknown events about processes that were not there;
	// Resyncs readings of the task iterator after a gap.
	Evicted uint64 `json:"evicted"`
	Unknown uint64 `json:"unknown"`
	Resyncs uint64 `json:"resyncs"`
}

// Rules counts rules and what they found.
type Rules struct {
	// Live rules are tried; Waiting ones need events that are not collected;
	// Disabled ones are switched off.
	Live     int `json:"live"`
	Waiting  int `json:"waiting"`
	Disabled int `json:"disabled"`
	// Matched counts alerts, in all and by rule.
	Matched uint64            `json:"matched"`
	ByRule  map[string]uint64 `json:"by_rule,omitempty"`
}

// Sink is an output.
type Sink struct {
	Name          string `json:"name"`
	In            uint64 `json:"in"`
	Out           uint64 `json:"out"`
	Waiting       uint64 `json:"waiting"`
	Dropped       uint64 `json:"dropped"`
	DroppedAlerts uint64 `json:"dropped_alerts"`
	Bytes         uint64 `json:"bytes"`
	Errors        uint64 `json:"errors"`
	LastError     string `json:"last_error,omitempty"`
}
