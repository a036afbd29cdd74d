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
	// Shells is nil where no rule asks what shells lead to.
	Shells *Shells `json:"shells,omitempty"`
	// HostPaths is nil where nobody asked for the host's path of a file.
	HostPaths *HostPaths `json:"host_paths,omitempty"`
	// Counts is nil where no rule counts matches of others.
	Counts *Counts `json:"counts,omitempty"`
	// Firewall is nil where none is loaded on the host.
	Firewall *Firewall `json:"firewall,omitempty"`
	Rules    Rules     `json:"rules"`
	Sinks    []Sink    `json:"sinks"`
	// Canary is nil where there is none.
	Canary *Canary `json:"canary,omitempty"`
	// Warnings are sentences about what does not work as it should.
	Warnings []string `json:"warnings,omitempty"`
}

// Firewall is the account of the host's firewall, whose program runs by itself.
type Firewall struct {
	// Devices are those that it is in front of.
	Devices []string `json:"devices"`
	// Reasons counts packets by reason, such as rule or ban, and verdict, pass or
	// drop; Rules counts those that met a rule or a guard.
	Reasons []Packets `json:"reasons"`
	Rules   []Packets `json:"rules"`
	// Bans are the sources that are banned now.
	Bans int `json:"bans"`
	// Blocked counts what alerts have had banned, Refused what they asked for in vain.
	Blocked uint64 `json:"blocked_by_alerts"`
	Refused uint64 `json:"refused"`
	// Problem says why the rest is missing.
	Problem string `json:"problem,omitempty"`
}

// Packets counts packets of one name.
type Packets struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict,omitempty"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Over were above a limit, or would have been dropped but for monitor.
	Over uint64 `json:"over,omitempty"`
}

// Canary is the account of the processes by which the agent makes sure that it
// sees.
type Canary struct {
	Runs     uint64 `json:"runs"`
	Failures uint64 `json:"failures"`
	// LastOK is when one came through whole last; nil where none has yet.
	LastOK *time.Time `json:"last_ok,omitempty"`
	// Problem says what was missing of the last one; empty where nothing was.
	Problem string `json:"problem,omitempty"`
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
	// LastEvent is when an event of it came last; nil where none has.
	LastEvent *time.Time `json:"last_event,omitempty"`
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
	// LeftOut is how much the kernel's programs looked at that nobody asks for.
	LeftOut uint64 `json:"left_out"`
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

// HostPaths is the account of what finds the host's paths of files in other mount
// namespaces.
type HostPaths struct {
	// Asked counts files of other namespaces, Found those that the host has.
	Asked uint64 `json:"asked"`
	Found uint64 `json:"found"`
	// The others have no path there: Hidden since the host has not mounted what they
	// are in, Nameless since they have no name, Unsure since a symbolic link may be in
	// the way, Unmatched since the mounts as they were read do not have them, NoMounts
	// since these could not be read.
	Hidden    uint64 `json:"hidden"`
	Nameless  uint64 `json:"nameless"`
	Unsure    uint64 `json:"unsure"`
	Unmatched uint64 `json:"unmatched"`
	NoMounts  uint64 `json:"no_mounts"`
	// Namespaces are remembered, Reads counts lists of mounts that were read, Evicted
	// namespaces that were forgotten for lack of room.
	Namespaces uint64 `json:"namespaces"`
	Reads      uint64 `json:"reads"`
	Evicted    uint64 `json:"evicted"`
}

// Shells is the account of what follows where shells' input and output lead.
type Shells struct {
	// Processes and Objects are followed at present.
	Processes uint64 `json:"processes"`
	Objects   uint64 `json:"objects"`
	// Forgotten counts what was dropped for lack of room.
	Forgotten uint64 `json:"forgotten"`
	// Asked counts likely chains from a shell to a socket, Found those that were
	// told, Refuted those that the kernel's descriptors denied, Unasked those
	// for which these were not looked at because they had been too often.
	Asked   uint64 `json:"asked"`
	Found   uint64 `json:"found"`
	Refuted uint64 `json:"refuted"`
	Unasked uint64 `json:"unasked"`
}

// Counts is the account of the rules that count matches of others.
type Counts struct {
	// Groups are counted at present, in about Bytes of memory.
	Groups uint64 `json:"groups"`
	Bytes  uint64 `json:"bytes"`
	// Evicted counts groups and matches that were forgotten for lack of room,
	// Late matches that came too late to be counted.
	Evicted uint64 `json:"evicted"`
	Late    uint64 `json:"late"`
}

// Rules counts rules and what they found.
type Rules struct {
	// Live rules are tried; Waiting ones need events that are not collected;
	// Disabled ones are switched off.
	Live     int `json:"live"`
	Waiting  int `json:"waiting"`
	Disabled int `json:"disabled"`
	// Matched counts alerts, in all and by rule.
	Matched uint64 `json:"matched"`
	// Suppressed of them were not written, as there were too many like them;
	// Kept are there for "bearcat alerts", Forgotten were dropped before their time.
	Suppressed uint64            `json:"suppressed"`
	Kept       uint64            `json:"kept"`
	Forgotten  uint64            `json:"forgotten"`
	ByRule     map[string]uint64 `json:"by_rule,omitempty"`
	// Reloads counts how often the rules were put in place anew, Refused how
	// often they had errors and the old ones stayed.
	Reloads    uint64     `json:"reloads"`
	Refused    uint64     `json:"reloads_refused"`
	LastReload *time.Time `json:"last_reload,omitempty"`
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
