// Package dns reads messages of the domain name system as they were captured,
// joins answers to their queries, and remembers which name led to an address.
// In come bytes that anybody may have written; out go values, or an error where
// not even the header is there. The sensor for calls and the agent call it. Its
// types belong to one goroutine each.
package dns

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// Bounds of what is kept of a message.
const (
	maxRecords = 64
	maxLabels  = 128
	maxName    = 255 // bytes of a name on the wire, RFC 1035
	maxData    = 512 // bytes of a record's data that are shown
	headerSize = 12
)

// Message is what a message says.
type Message struct {
	ID        uint16
	Response  bool
	Truncated bool
	Opcode    uint8
	// Rcode is the result, extended by EDNS where the message has it.
	Rcode    uint16
	Question []Question
	Answers  []Answer
	// EDNS is true where an OPT record is there; UDPSize is what it offers.
	EDNS    bool
	UDPSize uint16
	// Cut is true where the bytes ended before the message did, or made no
	// sense from some place on: what came before is kept.
	Cut bool
}

// Question is what is asked for.
type Question struct {
	Name        string
	Type, Class uint16
}

// Answer is a record of the answer section.
type Answer struct {
	Name string
	Type uint16
	TTL  uint32
	// Data is an address, a name, a text, or hexadecimal digits.
	Data string
}

var errShort = errors.New("reading a DNS message: it has no whole header")

// Parse reads a message as a datagram carries it.
func Parse(b []byte) (Message, error) {
	var m Message
	if len(b) < headerSize {
		return m, errShort
	}
	flags := binary.BigEndian.Uint16(b[2:])
	m.ID = binary.BigEndian.Uint16(b)
	m.Response, m.Truncated = flags&0x8000 != 0, flags&0x0200 != 0
	m.Opcode, m.Rcode = uint8(flags>>11)&0xf, flags&0xf
	r := reader{b: b, at: headerSize}
	counts := [4]int{}
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	for range counts[0] {
		name, ok := r.name()
		typ, ok2 := r.u16()
		class, ok3 := r.u16()
		if !ok || !ok2 || !ok3 {
			m.Cut = true
			return m, nil
		}
		if len(m.Question) < maxRecords {
			m.Question = append(m.Question, Question{name, typ, class &^ 0x8000})
		}
	}
	for section, n := range counts[1:] {
		for range n {
			if !r.record(&m, section == 0) {
				m.Cut = true
				return m, nil
			}
		}
	}
	return m, nil
}

// ParseTCP reads the messages that a stream carries, each behind two bytes of
// length. The last may be cut.
func ParseTCP(b []byte) ([]Message, error) {
	var out []Message
	for len(b) >= 2 && len(out) < maxRecords {
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		part := b[:min(n, len(b))]
		m, err := Parse(part)
		if err != nil {
			return out, err
		}
		m.Cut = m.Cut || n > len(b)
		out = append(out, m)
		b = b[len(part):]
	}
	if len(out) == 0 {
		return nil, errShort
	}
	return out, nil
}

// reader walks through a message.
type reader struct {
	b  []byte
	at int
}

func (r *reader) u16() (uint16, bool) {
	if r.at+2 > len(r.b) {
		return 0, false
	}
	v := binary.BigEndian.Uint16(r.b[r.at:])
	r.at += 2
	return v, true
}

// name reads a name at the reader's place and moves behind it.
func (r *reader) name() (string, bool) {
	name, end, ok := readName(r.b, r.at)
	if ok {
		r.at = end
	}
	return name, ok
}

// readName reads the name at a place and returns where it ends there. Pointers
// may only lead backwards, so that no loop is possible.
func readName(b []byte, at int) (name string, end int, ok bool) {
	var out strings.Builder
	size, limit := 0, at+1
	for labels := 0; labels < maxLabels; {
		if at >= len(b) {
			return "", 0, false
		}
		n := int(b[at])
		switch {
		case n == 0:
			if end == 0 {
				end = at + 1
			}
			if out.Len() == 0 {
				return ".", end, true
			}
			return out.String(), end, true
		case n&0xc0 == 0xc0:
			if at+2 > len(b) {
				return "", 0, false
			}
			to := int(binary.BigEndian.Uint16(b[at:])) & 0x3fff
			if end == 0 {
				end = at + 2
			}
			if to >= limit-1 {
				return "", 0, false
			}
			at, limit = to, to+1
			labels++
		case n&0xc0 != 0:
			return "", 0, false
		default:
			if size += n + 1; size > maxName || at+1+n > len(b) {
				return "", 0, false
			}
			if out.Len() > 0 {
				out.WriteByte('.')
			}
			appendLabel(&out, b[at+1:at+1+n])
			at += 1 + n
			labels++
		}
	}
	return "", 0, false
}

// appendLabel writes a label in presentation form (RFC 1035, 5.1).
func appendLabel(out *strings.Builder, label []byte) {
	for _, c := range label {
		switch {
		case c == '.' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c > ' ' && c < 0x7f:
			out.WriteByte(c)
		default:
			out.WriteByte('\\')
			s := strconv.Itoa(int(c))
			out.WriteString("000"[len(s):])
			out.WriteString(s)
		}
	}
}

const typeOPT = 41

// record reads one record; what is not of the answer section is only looked at
// for EDNS.
func (r *reader) record(m *Message, answer bool) bool {
	name, ok := r.name()
	if !ok || r.at+10 > len(r.b) {
		return false
	}
	typ := binary.BigEndian.Uint16(r.b[r.at:])
	class := binary.BigEndian.Uint16(r.b[r.at+2:])
	ttl := binary.BigEndian.Uint32(r.b[r.at+4:])
	n := int(binary.BigEndian.Uint16(r.b[r.at+8:]))
	r.at += 10
	if r.at+n > len(r.b) {
		return false
	}
	if typ == typeOPT {
		m.EDNS, m.UDPSize = true, class
		m.Rcode |= uint16(ttl>>24) << 4
	} else if answer && len(m.Answers) < maxRecords {
		m.Answers = append(m.Answers, Answer{name, typ, ttl, dataText(r.b, r.at, n, typ)})
	}
	r.at += n
	return true
}

// dataText shows a record's data.
func dataText(b []byte, at, n int, typ uint16) string {
	data := b[at : at+n]
	named := func(skip int) (string, bool) {
		if n < skip {
			return "", false
		}
		name, _, ok := readName(b[:at+n], at+skip)
		return name, ok
	}
	switch {
	case typ == 1 && n == 4:
		return netip.AddrFrom4([4]byte(data)).String()
	case typ == 28 && n == 16:
		return netip.AddrFrom16([16]byte(data)).String()
	case typ == 16:
		var out strings.Builder
		for len(data) > 0 && out.Len() < maxData {
			k := min(int(data[0]), len(data)-1)
			out.Write(data[1 : 1+k])
			data = data[1+k:]
		}
		return out.String()
	}
	skip := -1
	switch typ {
	case 2, 5, 12, 39: // NS CNAME PTR DNAME
		skip = 0
	case 15: // MX
		skip = 2
	case 33: // SRV
		skip = 6
	}
	if skip >= 0 {
		if name, ok := named(skip); ok {
			return name
		}
	}
	return hex.EncodeToString(data[:min(n, maxData)])
}

// typeNames are those in common use.
var typeNames = sync.OnceValue(func() map[uint16]string {
	return map[uint16]string{1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA",
		29: "LOC", 33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA",
		64: "SVCB", 65: "HTTPS", 99: "SPF", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA"}
})

// TypeName names a type of record, such as "A", or "TYPE123".
func TypeName(t uint16) string {
	if n, ok := typeNames()[t]; ok {
		return n
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// RcodeName names a result, such as "NXDOMAIN", or "RCODE123".
func RcodeName(r uint16) string {
	names := [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}
	switch {
	case int(r) < len(names):
		return names[r]
	case r == 16:
		return "BADVERS"
	}
	return "RCODE" + strconv.Itoa(int(r))
}
