// Package process keeps the table of processes: who runs what, since when, as
// whom, in which container, and from whom it descends.
//
// In come the task records of the sensors (event.TaskRecord) and, at start and
// after a gap, those of the kernel's task iterator or of /proc (ProcFS). Out
// go events (event.Event) whose process is linked to its ancestors and carries
// the names that numbers alone do not tell: users, groups, containers.
//
// The agent's pipeline calls it. One goroutine changes and reads the table;
// only Table.Stats may be called from others.
//
// # Identity
//
// A process is its pid and its start in nanoseconds (event.Key), so that a
// reused pid is another process. /proc knows starts only in ticks of 10 ms; a
// process that was seeded from there takes the exact key with the first
// record that has one.
//
// # Order
//
// Records may come late, twice, out of order, or not at all. What is known of
// a process at one time is not overwritten by a record of an earlier time: the
// event of such a record shows a copy of the process as it was. A process that
// is first met in the middle of its life is made from what the record tells.
//
// # Retention
//
// A process that ended stays for a short grace, so that late records find it,
// and for as long as a living process descends from it or somebody has called
// Retain. Both count and memory are bounded: see Config.
package process
