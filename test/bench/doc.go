// Package bench measures what Bearcat costs a host and compares it with other
// tools that watch the same things.
//
// In come the agent's binary, other tracers if they are installed, and a load
// generator (load/); out go tables and the same figures as JSON. Its program
// is cmd/bench, which run.sh builds and starts inside a guest, because an
// agent that looks at a whole host only belongs there. docs/benchmarks.md says
// what each figure means.
package bench
