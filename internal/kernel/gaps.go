package kernel

import "sync"

// Streams follows the numbers of records, one series for each CPU and stream,
// and finds what is missing. Records of one stream on one CPU arrive in
// order, so a number that is skipped is lost.
type Streams struct {
	mu sync.Mutex
	// next has the number that each stream of each CPU goes on with; 0 for one that
	// has not been heard of.
	next []*[256]uint64
	lost uint64
}

// NewStreams returns an account in which every series starts at 1.
func NewStreams() *Streams { return &Streams{} }

// Hole is a run of lost records, From to To, both included.
type Hole struct{ From, To uint64 }

// N returns how many records are missing.
func (h Hole) N() uint64 {
	if h.To < h.From {
		return 0
	}
	return h.To - h.From + 1
}

// Seen notes that a record has arrived and returns the hole before it, of
// which N is 0 where nothing is missing.
func (s *Streams) Seen(cpu uint16, stream uint8, seq uint64) Hole {
	return s.upTo(cpu, stream, seq, seq+1)
}

// End compares with the kernel's own count at the end of reading, when all
// that was sent has been read: what it numbered beyond the last record seen
// is lost too.
func (s *Streams) End(cpu uint16, stream uint8, produced uint64) Hole {
	return s.upTo(cpu, stream, produced+1, produced+1)
}

func (s *Streams) upTo(cpu uint16, stream uint8, seq, next uint64) Hole {
	s.mu.Lock()
	defer s.mu.Unlock()
	for int(cpu) >= len(s.next) {
		s.next = append(s.next, nil)
	}
	if s.next[cpu] == nil {
		s.next[cpu] = new([256]uint64)
	}
	at := &s.next[cpu][stream]
	want := max(*at, 1)
	if next > want {
		*at = next
	}
	if seq <= want {
		return Hole{1, 0}
	}
	s.lost += seq - want
	return Hole{want, seq - 1}
}

// Lost returns how many records are known to be lost.
func (s *Streams) Lost() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}
