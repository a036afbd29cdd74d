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
	// brief has the short forms of processes, by the type of the event.
	brief [event.NumTypes]memo[shortKey]
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
