package agent

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector of garbage may let the heap grow by gcRoom bytes, or by a half of
// what is in use where that is more, but by no more than gcPercent: what a small
// agent saves in time by collecting rarely, a large one would pay for in memory.
const (
	gcRoom       = 20 << 20
	gcPercentMin = 50
	gcEvery      = 10 * time.Second
)

// gcPercentFor is the collector's setting for a heap of which live bytes are in use.
func gcPercentFor(live uint64) int {
	return int(min(gcPercent, max(gcPercentMin, gcRoom*100/max(live, 1))))
}

// tuneMemory keeps the setting at what the heap's size asks for.
func tuneMemory(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := gcPercent
	t := time.NewTicker(gcEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return // a Go that does not count it
		}
		if want := gcPercentFor(sample[0].Value.Uint64()); want != now {
			now = want
			debug.SetGCPercent(want)
		}
	}
}
