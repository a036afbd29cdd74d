package eventjson

import "github.com/bearcat-hids/bearcat/internal/event"

// Sizes of what is remembered of calls: specs, and for each of them sets of
// arguments.
const (
	callSlots = 256
	argsSlots = 4
)

// callMemo has the text that is the same for all calls of a kind, and that of the
// arguments which were met last.
type callMemo struct {
	of    *event.CallSpec
	known bool
	// head goes from the name to the result.
	head []byte
	// masks are all ones for the arguments that are told by name.
	masks [6]uint64
	args  [argsSlots]struct {
		of    [6]uint64
		known bool
		text  []byte
	}
}

func (e *Encoder) callMemo(s *event.CallSpec) *callMemo {
	i := 0
	if s != nil {
		i = s.Index
	}
	m := &e.calls[uint(i)%callSlots]
	if m.known && m.of == s {
		return m
	}
	*m = callMemo{of: s, known: true}
	w := writer{[]byte("{")}
	w.open("call")
	if s != nil {
		w.putStr("name", s.Name)
	}
	w.key("ret")
	m.head = w.b[1:]
	args := CallArgs(s)
	for i := range min(len(args), len(m.masks)) {
		if told(args[i].Kind) {
			m.masks[i] = ^uint64(0)
		}
	}
	return m
}

// told reports whether an argument is written by name. Paths, addresses and texts
// have members of their own.
func told(k event.CallArgKind) bool {
	switch k {
	case event.ArgPath, event.ArgPath2, event.ArgText, event.ArgAddr, event.ArgPtr, event.ArgData, event.ArgLen, event.ArgFDs:
		return false
	}
	return true
}

// putArgs writes the arguments by name.
func (m *callMemo) putArgs(w *writer, c *event.Call) {
	var k [6]uint64
	h := uint64(0)
	for i, v := range c.Args {
		k[i] = v & m.masks[i]
		h = h*31 + k[i]
	}
	s := &m.args[h*0x9e3779b97f4a7c15>>62%argsSlots]
	if s.known && s.of == k {
		w.b = append(w.b, s.text...)
		return
	}
	start := len(w.b)
	if args := CallArgs(m.of); len(args) > 0 {
		w.open("args")
		for i := range min(len(args), len(c.Args)) {
			if told(args[i].Kind) {
				putArg(w, c, i, &args[i])
			}
		}
		w.close()
	}
	s.of, s.known = k, true
	s.text = append(s.text[:0], w.b[start:]...)
}
