package bench

import (
	"slices"
	"time"
)

// median returns the middle value, the mean of the two middle ones of an even
// number, and 0 of none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// Pairs holds what one workload measured without and with an agent, in
// nanoseconds per operation. Each index is one pair of neighbouring runs.
type Pairs struct {
	Without []float64 `json:"without_ns"`
	With    []float64 `json:"with_ns"`
}

// Ratio is how many times as long an operation takes with the agent, by the
// medians; 0 when nothing was measured.
func (p *Pairs) Ratio() float64 {
	base := median(p.Without)
	if base == 0 {
		return 0
	}
	return median(p.With) / base
}

// Added is what the agent adds to one operation, by the medians.
func (p *Pairs) Added() time.Duration {
	return time.Duration(median(p.With) - median(p.Without))
}

// Spread returns the smallest and the largest ratio of a single pair.
func (p *Pairs) Spread() (low, high float64) {
	for i := range min(len(p.With), len(p.Without)) {
		if p.Without[i] == 0 {
			continue
		}
		r := p.With[i] / p.Without[i]
		if low == 0 || r < low {
			low = r
		}
		high = max(high, r)
	}
	return low, high
}
