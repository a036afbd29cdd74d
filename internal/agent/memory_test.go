package agent

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 200, 10 << 20: 200, 20 << 20: 100, 30 << 20: 66, 40 << 20: 50, 1 << 40: 50} {
		if got := gcPercentFor(live); got != want {
			t.Errorf("%d MB in use: %d%%, want %d%%", live>>20, got, want)
		}
	}
}
