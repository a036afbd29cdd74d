package top

import (
	"strconv"
	"strings"
)

// TCP is what one process did with TCP. Bytes are those of programs, not of packets: sent
// for the first time, and received in order.
type TCP struct {
	Pid  uint32 `json:"pid"` // 0 where it is not known
	Comm string `json:"comm"`
	// Connections are there at the interval's end; Opened, Accepted, Failed (to
	// connect) and Ended happened in it.
	Connections uint64 `json:"connections"`
	Opened      uint64 `json:"opened"`
	Accepted    uint64 `json:"accepted"`
	Failed      uint64 `json:"failed"`
	Ended       uint64 `json:"ended"`
	In          uint64 `json:"in_bytes"`
	Out         uint64 `json:"out_bytes"`
	// RTT is the mean of what TCP takes for its connections' round trips, RTTMax the
	// longest; Connect is the longest time that connecting took.
	RTT         uint64 `json:"rtt_ns"`
	RTTMax      uint64 `json:"rtt_max_ns"`
	Connect     uint64 `json:"connect_ns"`
	Retransmits uint64 `json:"retransmits"` // segments
	ResetsIn    uint64 `json:"resets_in"`
	ResetsOut   uint64 `json:"resets_out"`
	// QueueIn has been received and not been read, QueueOut been written and not been
	// acknowledged, at the interval's end.
	QueueIn  uint64 `json:"queue_in_bytes"`
	QueueOut uint64 `json:"queue_out_bytes"`

	took float64
}

// Conn is one TCP connection, with the same figures.
type Conn struct {
	Pid    uint32 `json:"pid"`
	Comm   string `json:"comm"`
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// State is the kernel's, of a connection that ended the one before that.
	State string `json:"state"`
	// Walk has the states that it came to since it is watched.
	Walk        []string `json:"walk"`
	Ended       bool     `json:"ended"`
	In          uint64   `json:"in_bytes"`
	Out         uint64   `json:"out_bytes"`
	RTT         uint64   `json:"rtt_ns"`
	Connect     uint64   `json:"connect_ns"`
	Retransmits uint64   `json:"retransmits"`
	ResetsIn    uint64   `json:"resets_in"`
	ResetsOut   uint64   `json:"resets_out"`
	QueueIn     uint64   `json:"queue_in_bytes"`
	QueueOut    uint64   `json:"queue_out_bytes"`

	took float64
	id   uint64
}

func count[R any](name string, n func(r *R) uint64) column[R] {
	return column[R]{name, func(r *R) string { return strconv.FormatUint(n(r), 10) }, func(r *R) float64 { return float64(n(r)) }}
}

func bytesOf[R any](name string, n func(r *R) uint64) column[R] {
	return column[R]{name, func(r *R) string { return Size(n(r)) }, func(r *R) float64 { return float64(n(r)) }}
}

func timeOf[R any](name string, n func(r *R) uint64) column[R] {
	return column[R]{name, func(r *R) string { return duration(n(r)) }, func(r *R) float64 { return float64(n(r)) }}
}

// pidText writes a process, or that it is not known.
func pidText(pid uint32) string {
	if pid == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(pid), 10)
}

func (r *TCP) rate(n uint64) uint64  { return uint64(float64(n) / max(r.took, 0.001)) }
func (r *Conn) rate(n uint64) uint64 { return uint64(float64(n) / max(r.took, 0.001)) }

var tcpTable = table[TCP]{id: func(r *TCP) uint64 { return uint64(r.Pid) }, who: func(r *TCP) (uint32, string) { return r.Pid, r.Comm },
	length: func(r *TCP, s float64) { r.took = s }, columns: []column[TCP]{
		{"PID", func(r *TCP) string { return pidText(r.Pid) }, nil},
		{"COMM", func(r *TCP) string { return orDash(r.Comm) }, nil},
		bytesOf("BYTES/s", func(r *TCP) uint64 { return r.rate(r.In + r.Out) }),
		bytesOf("IN/s", func(r *TCP) uint64 { return r.rate(r.In) }),
		bytesOf("OUT/s", func(r *TCP) uint64 { return r.rate(r.Out) }),
		count("CONNS", func(r *TCP) uint64 { return r.Connections }),
		count("OPENED", func(r *TCP) uint64 { return r.Opened }),
		count("ACCEPTED", func(r *TCP) uint64 { return r.Accepted }),
		count("FAILED", func(r *TCP) uint64 { return r.Failed }),
		count("ENDED", func(r *TCP) uint64 { return r.Ended }),
		timeOf("CONNECT", func(r *TCP) uint64 { return r.Connect }),
		timeOf("RTT", func(r *TCP) uint64 { return r.RTT }),
		timeOf("RTTMAX", func(r *TCP) uint64 { return r.RTTMax }),
		count("RETRANS", func(r *TCP) uint64 { return r.Retransmits }),
		count("RSTIN", func(r *TCP) uint64 { return r.ResetsIn }),
		count("RSTOUT", func(r *TCP) uint64 { return r.ResetsOut }),
		bytesOf("QIN", func(r *TCP) uint64 { return r.QueueIn }),
		bytesOf("QOUT", func(r *TCP) uint64 { return r.QueueOut }),
	}}

var connTable = table[Conn]{id: func(r *Conn) uint64 { return r.id }, who: func(r *Conn) (uint32, string) { return r.Pid, r.Comm },
	length: func(r *Conn, s float64) { r.took = s }, columns: []column[Conn]{
		{"PID", func(r *Conn) string { return pidText(r.Pid) }, nil},
		{"COMM", func(r *Conn) string { return orDash(r.Comm) }, nil},
		{"LOCAL", func(r *Conn) string { return r.Local }, nil},
		{"REMOTE", func(r *Conn) string { return r.Remote }, nil},
		{"STATE", func(r *Conn) string {
			if r.Ended {
				return strings.Join(r.Walk, ">")
			}
			return r.State
		}, nil},
		bytesOf("BYTES/s", func(r *Conn) uint64 { return r.rate(r.In + r.Out) }),
		bytesOf("IN/s", func(r *Conn) uint64 { return r.rate(r.In) }),
		bytesOf("OUT/s", func(r *Conn) uint64 { return r.rate(r.Out) }),
		timeOf("CONNECT", func(r *Conn) uint64 { return r.Connect }),
		timeOf("RTT", func(r *Conn) uint64 { return r.RTT }),
		count("RETRANS", func(r *Conn) uint64 { return r.Retransmits }),
		count("RSTIN", func(r *Conn) uint64 { return r.ResetsIn }),
		count("RSTOUT", func(r *Conn) uint64 { return r.ResetsOut }),
		bytesOf("QIN", func(r *Conn) uint64 { return r.QueueIn }),
		bytesOf("QOUT", func(r *Conn) uint64 { return r.QueueOut }),
	}}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
