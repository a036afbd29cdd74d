package eventjson

import "time"

// The seconds since 1970 between which RFC 3339 can write a year: 0000 to
// 9999.
const (
	minSec = -62167219200
	maxSec = 253402300799
)

// writable reports whether RFC 3339 can hold t; the zero time stands for an
// unknown one and is not written.
func writable(t time.Time) bool {
	s := t.Unix()
	return !t.IsZero() && s >= minSec && s <= maxSec
}

// AppendTime appends t in RFC 3339 with nine digits of fraction, in UTC, so
// that texts sort as times do: "2006-01-02T15:04:05.000000000Z". It is done
// by arithmetic since it is on the path of every event.
func AppendTime(dst []byte, t time.Time) []byte {
	return appendTime(dst, t.Unix(), uint32(t.Nanosecond()))
}

func appendNanos(dst []byte, ns int64) []byte {
	sec, frac := ns/1e9, ns%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	return appendTime(dst, sec, uint32(frac))
}

func appendTime(dst []byte, sec int64, nanos uint32) []byte {
	sec = min(max(sec, minSec), maxSec)
	// Count from 0000-03-01, so that the leap day ends a year, and split
	// into the 400-year cycles of the Gregorian calendar.
	since := uint64(sec - minSec)
	day, s := since/86400, uint32(since%86400)
	const toMarch = 60 // days from 0000-01-01 to 0000-03-01
	// one cycle more, to stay positive before that March
	d := day + 146097 - toMarch
	cycle, d := d/146097, d%146097
	yearOfCycle := (d - d/1460 + d/36524 - d/146096) / 365
	dayOfYear := d - (365*yearOfCycle + yearOfCycle/4 - yearOfCycle/100)
	m := (5*dayOfYear + 2) / 153
	dom := uint32(dayOfYear-(153*m+2)/5) + 1
	year := uint32(cycle*400+yearOfCycle) - 400
	month := uint32(m) + 3
	if month > 12 {
		month -= 12
		year++
	}
	dst = append2(dst, year/100)
	dst = append2(dst, year%100)
	dst = append(dst, '-')
	dst = append2(dst, month)
	dst = append(dst, '-')
	dst = append2(dst, dom)
	dst = append(dst, 'T')
	dst = append2(dst, s/3600)
	dst = append(dst, ':')
	dst = append2(dst, s/60%60)
	dst = append(dst, ':')
	dst = append2(dst, s%60)
	return append(appendFraction(append(dst, '.'), nanos), 'Z')
}

// appendFraction appends nine digits.
func appendFraction(dst []byte, nanos uint32) []byte {
	dst = append(dst, "000000000"...)
	for i := len(dst) - 1; nanos != 0; i-- {
		dst[i] = byte('0' + nanos%10)
		nanos /= 10
	}
	return dst
}

func append2(dst []byte, n uint32) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

func appendQuotedTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = AppendTime(dst, t)
	return append(dst, '"')
}
