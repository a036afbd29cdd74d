package agent

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule"
	"github.com/bearcat-hids/bearcat/internal/sensor/call"
	"github.com/bearcat-hids/bearcat/internal/sink"
	"github.com/bearcat-hids/bearcat/internal/sink/json"
)

// offFlags is where the third argument of a call is, the flags of an openat.
const offFlags = 24 + 16 + 8 + 2*8

// A storm is a process that makes one call again and again.
type storm struct {
	l    *life
	call []byte
	seq  uint64
}

func newStorm(t testing.TB, p *pipeline, name string) *storm {
	t.Helper()
	file := name
	if name == "read" { // the same, for reading
		file = "open"
	}
	raw, err := os.ReadFile(filepath.Join("..", "sensor", "call", "testdata", file+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	if name == "read" {
		binary.LittleEndian.PutUint64(raw[offFlags:], 0)
	}
	p.decoders(call.NewDecoder(true))
	s := &storm{l: captured(t), call: raw}
	born := s.l.next(1)
	p.Record(event.Critical, born[0])
	p.Record(event.Critical, born[1])
	copy(raw[offKey:offKey+12], born[1][offKey:])
	binary.LittleEndian.PutUint16(raw[offCPU:], 0)
	return s
}

// next is the record of one more call.
func (s *storm) next() []byte {
	s.seq++
	binary.LittleEndian.PutUint64(s.call, 3_000_000_000+1000*s.seq)
	binary.LittleEndian.PutUint64(s.call[offSeq:], s.seq)
	return s.call
}

// BenchmarkCall is what a call costs from its record to the end of the pipeline:
// with every event written as JSON, and with nothing written and the shipped
// rules.
func BenchmarkCall(b *testing.B) {
	empty, _ := rule.Load(nil, rule.Options{})
	for _, name := range []string{"open", "read", "failed", "connect", "tcp_close", "query"} {
		b.Run(name+"/json", func(b *testing.B) {
			w := sink.NewWriter("null", json.New("host", "b57ad8b8-f1a6-4b3c-8b5a-6ad1b9a5a4c5"), sink.NewStream(io.Discard), sink.Options{Events: true})
			benchmarkCall(b, name, shipped(b), w)
			_ = w.Close(context.Background()) // which tells of lines that found no room
			b.ReportMetric(float64(w.Stats().Bytes)/float64(w.Stats().Out), "bytes/line")
		})
		b.Run(name+"/rules", func(b *testing.B) { benchmarkCall(b, name, shipped(b)) })
		b.Run(name+"/nobody", func(b *testing.B) { benchmarkCall(b, name, empty) })
	}
}

func benchmarkCall(b *testing.B, name string, set *rule.Set, sinks ...sink.Sink) {
	p := testPipeline(b, set, sinks...)
	s := newStorm(b, p, name)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		p.Record(event.Bulk, s.next())
		if n++; n%512 == 0 {
			p.Flush(512)
			runtime.Gosched() // on one processor the output gets its turn
		}
	}
	if n := p.count.refused.Load(); n > 0 {
		b.Fatalf("%d records were refused", n)
	}
}
