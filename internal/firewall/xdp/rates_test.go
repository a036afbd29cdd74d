package xdp

import "testing"

func TestRates(t *testing.T) {
	was := []Counts{{Name: "a", Verdict: "drop", Packets: 10, Bytes: 1000}, {Name: "b", Packets: 50}}
	now := []Counts{{Name: "a", Verdict: "drop", Packets: 30, Bytes: 3000}, {Name: "b", Packets: 5}, {Name: "c", Packets: 8}}
	got := RatesOf(now, was, 2)
	for i, want := range []float64{10, 0, 4} { // b was cleared
		if got[i].PacketsPerSecond != want {
			t.Errorf("%s: %v packets a second, want %v", got[i].Name, got[i].PacketsPerSecond, want)
		}
	}
	if got[0].BitsPerSecond != 8000 {
		t.Errorf("%v bits a second, want 8000", got[0].BitsPerSecond)
	}
}
