package eventjson

import (
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
)

// memo keeps the last text that was written for a value. Most processes run in
// the same namespaces and control group, with the same credentials, files and
// ancestors as the one before, and copying is far cheaper than writing anew.
type memo[K comparable] struct {
	of    K
	known bool
	text  []byte
}

// put appends what write makes of k. What k points to must not have changed
// since k was last written.
func (m *memo[K]) put(w *writer, k K, write func(*writer, K)) {
	if m.known && m.of == k {
		w.b = append(w.b, m.text...)
		return
	}
	start := len(w.b)
	write(w, k)
	m.of, m.known = k, true
	m.text = append(m.text[:0], w.b[start:]...)
}

// memoSlots is how many values a memoSet keeps, and maxMemoText the longest text:
// a path may be longer than all others together.
const (
	memoSlots   = 64
	maxMemoText = 2048
)

// memoSet keeps the texts of several values, each in the place that the caller
// names for it, where it takes that of another. A storm of events comes from more
// than one process at once, about more than one file.
type memoSet[K comparable] [memoSlots]memoOf[K]

type memoOf[K comparable] struct {
	of    K
	known bool
	text  []byte
}

func (m *memoSet[K]) at(place uint64) *memoOf[K] { return &m[place%memoSlots] }

// has appends the text of k, if it is there. What k points to must not have
// changed since it was kept.
func (m *memoOf[K]) has(w *writer, k *K) bool {
	if !m.known || m.of != *k {
		return false
	}
	w.b = append(w.b, m.text...)
	return true
}

func (m *memoOf[K]) keep(k *K, text []byte) {
	if m.known = len(text) <= maxMemoText; m.known {
		m.of = *k
		m.text = append(m.text[:0], text...)
	}
}

// memos are an encoder's: everything in a process's line that is mostly that
// of the line before. Each begins with a comma and a member's name.
type memos struct {
	cred      memo[event.Cred]
	exe       memo[event.File]
	env       memo[envKey]
	stdio     memo[[3]event.Stdio]
	ns        memo[*event.Namespaces]
	cgroup    memo[groupKey]
	ancestors chainMemo
	// brief has the short forms of processes, files what is said of those that
	// calls are about.
	brief memoSet[shortKey]
	files memoSet[event.File]
	// heads are how the events of a type begin, after their time; second is the
	// time up to its fraction.
	heads  [event.NumTypes][]byte
	second memo[int64]
	calls  [callSlots]callMemo
}

// envKey stands for a list of variables, which are shared between images and
// never changed.
type envKey struct {
	first *string
	n     int
}

func envOf(list []string) envKey { return envKey{unsafe.SliceData(list), len(list)} }

func (k envKey) strings() []string { return unsafe.Slice(k.first, k.n) }

// chainMemo keeps the text of the last chain of ancestors.
type chainMemo struct {
	links []ancestor
	text  []byte
}

// ancestor is what the line says of an ancestor, as far as it can change.
type ancestor struct {
	p      *event.Process
	img    *event.Image
	comm   string
	uid    uint32
	exited bool
	parent *event.Process
	key    event.Key
}

func linkOf(a *event.Process) ancestor {
	return ancestor{a, a.Image, a.Comm, a.Cred.UID, a.ExitBoot != 0, a.Parent, a.ParentKey}
}

func (m *chainMemo) put(w *writer, p *event.Process) {
	same, n := true, 0
	for a := p.Parent; a != nil && n < MaxAncestors; a, n = a.Parent, n+1 {
		l := linkOf(a)
		switch {
		case n == len(m.links):
			m.links = append(m.links, l)
			same = false
		case m.links[n] != l:
			m.links[n] = l
			same = false
		}
	}
	same = same && n == len(m.links)
	clear(m.links[n:])
	m.links = m.links[:n]
	if same {
		w.b = append(w.b, m.text...)
		return
	}
	start := len(w.b)
	putAncestors(w, p, false)
	m.text = append(m.text[:0], w.b[start:]...)
}
