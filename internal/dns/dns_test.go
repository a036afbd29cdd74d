package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// wire writes a name without compression.
func wire(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

func header(id, flags uint16, counts ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = binary.BigEndian.AppendUint16(b, flags)
	for i := range 4 {
		n := uint16(0)
		if i < len(counts) {
			n = counts[i]
		}
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func question(b []byte, name string, typ uint16) []byte {
	b = append(b, wire(name)...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, typ), 1)
}

// record appends a record whose name is already on the wire.
func record(b, name []byte, typ, class uint16, ttl uint32, data []byte) []byte {
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// answer is a whole answer: www is a CNAME of web, which has two addresses.
func answer() []byte {
	b := question(header(7, 0x8180, 1, 3, 0, 1), "www.example.org", 1)
	b = record(b, []byte{0xc0, 12}, 5, 1, 300, append([]byte{3, 'w', 'e', 'b'}, 0xc0, 16))
	b = record(b, wire("web.example.org"), 1, 1, 60, []byte{192, 0, 2, 1})
	b = record(b, wire("web.example.org"), 28, 1, 60, netip.MustParseAddr("2001:db8::1").AsSlice())
	return record(b, []byte{0}, 41, 1232, 1<<24, nil) // EDNS: rcode 16
}

func TestParseAnswer(t *testing.T) {
	m, err := Parse(answer())
	if err != nil || m.Cut {
		t.Fatalf("%+v, %v", m, err)
	}
	if m.ID != 7 || !m.Response || len(m.Question) != 1 || m.Question[0] != (Question{"www.example.org", 1, 1}) {
		t.Errorf("%+v", m)
	}
	want := []Answer{{"www.example.org", 5, 300, "web.example.org"}, {"web.example.org", 1, 60, "192.0.2.1"}, {"web.example.org", 28, 60, "2001:db8::1"}}
	if len(m.Answers) != 3 || m.Answers[0] != want[0] || m.Answers[1] != want[1] || m.Answers[2] != want[2] {
		t.Errorf("answers %+v", m.Answers)
	}
	if !m.EDNS || m.UDPSize != 1232 || RcodeName(m.Rcode) != "BADVERS" {
		t.Errorf("EDNS %v %d %s", m.EDNS, m.UDPSize, RcodeName(m.Rcode))
	}
}

func TestParseKeepsWhatCameBeforeTheEnd(t *testing.T) {
	whole := answer()
	for n := range whole {
		m, err := Parse(whole[:n])
		switch {
		case n < headerSize:
			if err == nil {
				t.Errorf("%d bytes: no error", n)
			}
		case err != nil || !m.Cut:
			t.Errorf("%d bytes: cut %v, %v", n, m.Cut, err)
		case n > 40 && len(m.Question) != 1:
			t.Errorf("%d bytes: the question is lost", n)
		}
	}
}

func TestParseTexts(t *testing.T) {
	b := question(header(1, 0x8180, 1, 2), "a", 16)
	b = record(b, wire("a"), 16, 1, 1, []byte("\x02hi\x03you"))
	b = record(b, wire("a"), 999, 1, 1, []byte{0xde, 0xad})
	m, _ := Parse(b)
	if len(m.Answers) != 2 || m.Answers[0].Data != "hiyou" || m.Answers[1].Data != "dead" || TypeName(999) != "TYPE999" {
		t.Errorf("%+v", m)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	b := append(header(1, 0x0100, 1), 5, 'a', '.', 0x1b, 0xff, '\\', 0, 0, 1, 0, 1)
	m, err := Parse(b)
	if err != nil || m.Question[0].Name != `a\.\027\255\\` {
		t.Errorf("%+v, %v", m.Question, err)
	}
	root, _ := Parse(question(header(1, 0x0100, 1), "", 2))
	if root.Question[0].Name != "." {
		t.Errorf("root is %q", root.Question[0].Name)
	}
}

func TestParseRubbish(t *testing.T) {
	loop := append(header(1, 0x0100, 1), 0xc0, 12, 0, 1, 0, 1)
	forward := append(header(1, 0x0100, 1), 0xc0, 14, 1, 'a', 0, 0, 1, 0, 1)
	pair := append(header(1, 0x0100, 1), 1, 'a', 0xc0, 12, 0, 1, 0, 1)
	lying := question(header(1, 0x8180, 1, 65535, 65535, 65535), "a", 1)
	long := append(header(1, 0x0100, 1), append([]byte(strings.Repeat("\x3f"+strings.Repeat("a", 63), 5)), 0, 0, 1, 0, 1)...)
	for name, b := range map[string][]byte{"loop": loop, "forward": forward, "pair": pair, "lying": lying, "long": long,
		"reserved": append(header(1, 0, 1), 0x80, 0), "64k": append(answer(), make([]byte, 65000)...)} {
		m, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "64k" && !m.Cut {
			t.Errorf("%s: taken for whole", name)
		}
	}
}

func TestParseManyRecordsIsBounded(t *testing.T) {
	b := question(header(1, 0x8180, 1, 1000), "a", 1)
	for range 1000 {
		b = record(b, []byte{0xc0, 12}, 1, 1, 1, []byte{1, 2, 3, 4})
	}
	m, _ := Parse(b)
	if len(m.Answers) != maxRecords || m.Cut {
		t.Errorf("%d answers, cut %v", len(m.Answers), m.Cut)
	}
}

func TestParseTCP(t *testing.T) {
	one := answer()
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(one))), one...)
	all, err := ParseTCP(append(b, b...))
	if err != nil || len(all) != 2 || all[1].Cut || len(all[1].Answers) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	all, err = ParseTCP(b[:60])
	if err != nil || len(all) != 1 || !all[0].Cut {
		t.Errorf("cut: %+v, %v", all, err)
	}
	if _, err := ParseTCP([]byte{0}); err == nil {
		t.Error("one byte is a message")
	}
}

func TestCache(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCache(2)
	a, b, d := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	c.Put(a, "one", time.Second, now)
	if n, ok := c.Name(netip.MustParseAddr("::ffff:192.0.2.1"), now); !ok || n != "one" {
		t.Errorf("a mapped address has the name %q", n)
	}
	if _, ok := c.Name(a, now.Add(2*time.Hour)); ok {
		t.Error("a name outlives its time")
	}
	c.Put(a, "uno", time.Second, now)
	c.Put(b, "two", time.Second, now)
	c.Put(d, "three", time.Second, now)
	if c.Len() != 2 || c.Evicted() != 1 {
		t.Errorf("%d kept, %d evicted", c.Len(), c.Evicted())
	}
	if n, _ := c.Name(d, now); n != "three" {
		t.Errorf("the newest is %q", n)
	}
	for range 100 {
		c.Put(d, "three", time.Second, now)
	}
	if len(c.order) > 8 {
		t.Errorf("the same address stands %d times", len(c.order))
	}
}

func TestPending(t *testing.T) {
	p := NewPending(2)
	k := Key{Pid: 1, ID: 2, Name: "a", Type: 1}
	p.Query(k, 100)
	if d, ok := p.Answer(k, 350); !ok || d != 250 {
		t.Errorf("%v, %v", d, ok)
	}
	if _, ok := p.Answer(k, 400); ok {
		t.Error("answered twice")
	}
	for i := range uint16(10) {
		p.Query(Key{ID: i}, 1)
	}
	if len(p.sent) > 2 || p.Expired() != 8 {
		t.Errorf("%d wait, %d expired", len(p.sent), p.Expired())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(answer())
	f.Add(question(header(1, 0x0100, 1), "example.org", 65))
	f.Add(append(header(1, 0x0100, 1), 0xc0, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err == nil && len(b) < headerSize {
			t.Error("too short and no error")
		}
		if len(m.Question) > maxRecords || len(m.Answers) > maxRecords {
			t.Error("too many records")
		}
		for _, q := range m.Question {
			if len(q.Name) > 4*maxName {
				t.Errorf("a name of %d bytes", len(q.Name))
			}
		}
		if _, err := ParseTCP(b); err == nil && len(b) < 2+headerSize {
			t.Error("too short for TCP and no error")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	msg := answer()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(msg); err != nil {
			b.Fatal(err)
		}
	}
}
