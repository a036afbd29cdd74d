package firewall

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"
)

// costShift makes units of a limit's cost of nanoseconds: bytes cost less than one.
const costShift = 10

// maxEarn is how long a burst may take to be earned.
const maxEarn = 24 * time.Hour

// UnitCost is what a packet, or a byte, takes of the time of a limit, in 1/1024 ns.
func (r *Rule) UnitCost() uint64 {
	if r.Bytes > 0 {
		return uint64(r.Per) << costShift / r.Bytes
	}
	return uint64(r.Per/time.Duration(r.Packets)) << costShift
}

// Cost is what a frame takes of the time of a limit.
func (r *Rule) Cost(length uint32) time.Duration {
	if r.Bytes > 0 {
		return time.Duration(uint64(length) * r.UnitCost() >> costShift)
	}
	return time.Duration(r.UnitCost() >> costShift)
}

// BurstTime is how far a source, or a flow, may be ahead of a limit.
func (r *Rule) BurstTime() time.Duration {
	hi, lo := bits.Mul64(r.UnitCost(), r.Burst)
	if hi>>costShift != 0 {
		return math.MaxInt64
	}
	return time.Duration(min(hi<<(64-costShift)|lo>>costShift, math.MaxInt64))
}

// limit reads what belongs to action: limit.
func (r *Rule) limit(f *fileRule) error {
	count, unit, _ := strings.Cut(f.Rate, "/")
	size, isBytes, err := parseSize(count)
	if isBytes {
		r.Per = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
		switch {
		case err != nil || size == 0 || r.Per == 0:
			return fmt.Errorf("rate: %q is not a rate such as 500kB/s, 10MB/s or 1GB/h", f.Rate)
		case size < uint64(r.Per/time.Second):
			return fmt.Errorf("rate: %q is less than a byte a second", f.Rate)
		case size > uint64(r.Per)<<costShift:
			return fmt.Errorf("rate: %q is more than 1024 bytes a nanosecond", f.Rate)
		}
		r.Bytes = size
	} else if r.Packets, r.Per, err = parseRate(f.Rate); err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	if err := r.burst(f.Burst); err != nil {
		return fmt.Errorf("burst: %w", err)
	}
	if r.BurstTime() > maxEarn {
		return fmt.Errorf("burst: %d at %s takes more than a day to earn: lower it", r.Burst, f.Rate)
	}
	switch f.Per {
	case "", "source":
	case "flow":
		r.Flow = true
	default:
		return fmt.Errorf("per: %q is neither source nor flow", f.Per)
	}
	return nil
}

// Bounds of a burst of bytes: a frame that does not fit never passes.
const (
	leastBurst = 1514
	usualBurst = 65536
)

func (r *Rule) burst(s string) error {
	if r.Bytes > 0 && s == "" {
		r.Burst = max(usualBurst, r.Bytes/uint64(r.Per/time.Second))
		return nil
	}
	r.Burst = 1
	if s == "" {
		return nil
	}
	n, isBytes, err := parseSize(s)
	switch {
	case err != nil:
		return err
	case isBytes && r.Bytes == 0:
		return fmt.Errorf("%q is of bytes, the rate is of packets: write how many packets", s)
	case r.Bytes > 0 && n < leastBurst:
		return fmt.Errorf("%q has no room for a frame of %d bytes, which would never pass: raise it", s, leastBurst)
	}
	r.Burst = max(n, 1)
	return nil
}

// parseSize reads a number, or one of bytes.
func parseSize(s string) (n uint64, isBytes bool, err error) {
	digits := strings.TrimRight(s, "kMGB")
	scale, isBytes := map[string]uint64{"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[s[len(digits):]]
	if !isBytes {
		return 0, true, fmt.Errorf("%q is not a size such as 1500B, 64kB, 10MB or 1GB", s)
	}
	n, err = parseUint(digits, 1e10)
	if err != nil {
		err = fmt.Errorf("%q is not a number, or one of bytes such as 64kB", s)
	}
	return n * scale, len(digits) < len(s), err
}
