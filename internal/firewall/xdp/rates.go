package xdp

// Rated is a count with what came a second since the time before.
type Rated struct {
	Counts
	PacketsPerSecond float64 `json:"packets_per_second"`
	BitsPerSecond    float64 `json:"bits_per_second"`
}

// RatesOf compares counts with those of some seconds before.
func RatesOf(now, before []Counts, seconds float64) []Rated {
	type key struct{ name, verdict string }
	was := map[key]Counts{}
	for _, c := range before {
		was[key{c.Name, c.Verdict}] = c
	}
	out := []Rated{}
	for _, c := range now {
		w := was[key{c.Name, c.Verdict}]
		r := Rated{Counts: c}
		if c.Packets >= w.Packets && seconds > 0 { // a counter that was cleared begins anew
			r.PacketsPerSecond = float64(c.Packets-w.Packets) / seconds
			r.BitsPerSecond = 8 * float64(c.Bytes-w.Bytes) / seconds
		}
		out = append(out, r)
	}
	return out
}
