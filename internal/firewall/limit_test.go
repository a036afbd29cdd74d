package firewall

import (
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	for text, want := range map[string]struct {
		cost, burst time.Duration // of 1,000 bytes
		flow        bool
	}{
		"rate: 10/s":                         {100 * time.Millisecond, 100 * time.Millisecond, false},
		"rate: 10/s, burst: 5, per: source":  {100 * time.Millisecond, 500 * time.Millisecond, false},
		"rate: 1000000B/s":                   {time.Millisecond, time.Second, false},
		"rate: 1MB/s, burst: 2kB, per: flow": {time.Millisecond, 2 * time.Millisecond, true},
		"rate: 60kB/m, burst: 1514":          {time.Second, 1514 * time.Millisecond, false},
		"rate: 1GB/s":                        {time.Microsecond, time.Second, false},
		"rate: 100GB/s":                      {9 * time.Nanosecond, 976562500, false}, // 10/1024 ns a byte, not 10.24
	} {
		p, err := Parse("p", []byte("rules: [{name: a, action: limit, "+text+"}]"), Host{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		r := &p.Rules[0]
		if r.Cost(1000) != want.cost || r.BurstTime() != want.burst || r.Flow != want.flow {
			t.Errorf("%s: 1,000 bytes cost %v of %v, flow %v, want %+v", text, r.Cost(1000), r.BurstTime(), r.Flow, want)
		}
	}
}

func TestLimitMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"rate: 10MB":                    "not a rate such as 500kB/s",
		"rate: 10mB/s":                  "not a rate such as",
		"rate: 0B/s":                    "not a rate such as",
		"rate: 1B/h":                    "less than a byte a second",
		"rate: 10000GB/s":               "more than 1024 bytes",
		"rate: xMB/s":                   "not a rate such as",
		"rate: 99999999999999999999B/s": "not a rate such as",
		"rate: 10/s, burst: 64kB":       "the rate is of packets",
		"rate: 1MB/s, burst: 100":       "never pass",
		"rate: 1MB/s, burst: 100X":      "not a number",
		"rate: 1kB/s, burst: 1GB":       "more than a day",
		"rate: 1B/s, burst: 9999999GB":  "more than a day",
		"rate: 10/s, per: packet":       "neither source nor flow",
	} {
		_, err := Parse("p", []byte("rules: [{name: a, action: limit, "+text+"}]"), Host{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q in it", text, err, want)
		}
	}
	if _, err := Parse("p", []byte("rules: [{name: a, action: drop, per: flow}]"), Host{}); err == nil || !strings.Contains(err.Error(), "belong to action: limit") {
		t.Errorf("per without a limit gives %v", err)
	}
}
