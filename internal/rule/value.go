package rule

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
)

// matchCtx is what the evaluation of one event works with. It belongs to one
// Engine, and its buffers are used again for the next event.
type matchCtx struct {
	ev    *event.Event
	gen   uint32 // counts events; slots of an older one are stale
	memo  []memoSlot
	texts []textSlot
	lists []listSlot
	addrs []addrSlot
}

type memoSlot struct {
	gen uint32
	val bool
}

type textSlot struct {
	gen uint32
	ok  bool
	buf []byte
}

type listSlot struct {
	gen  uint32
	strs []string
	nums []int64
}

type addrSlot struct {
	gen   uint32
	addrs []netip.Addr
}

// reset prepares for an event.
func (c *matchCtx) reset(ev *event.Event) {
	c.ev = ev
	if c.gen++; c.gen == 0 { // wrapped: old slots would look fresh
		clear(c.memo)
		clear(c.texts)
		clear(c.lists)
		clear(c.addrs)
		c.gen = 1
	}
}

// release drops what points into the last event.
func (c *matchCtx) release() { c.ev = nil }

// view returns the bytes as a string without a copy. It is valid until the
// slot is filled again, which is at the next event at the earliest.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

type (
	strFunc  func(*matchCtx) (string, bool)
	numFunc  func(*matchCtx) (int64, bool)
	listFunc func(*matchCtx) []string
	numsFunc func(*matchCtx) []int64
)

// slots hands out numbered places in a matchCtx, the same for equal names.
type slots struct {
	texts, lists, ips map[string]int
}

func newSlots() *slots {
	return &slots{texts: map[string]int{}, lists: map[string]int{}, ips: map[string]int{}}
}

func number(m map[string]int, name string) int {
	n, ok := m[name]
	if !ok {
		n = len(m)
		m[name] = n
	}
	return n
}

// cachedText makes a strFunc of a function that writes text, run once an
// event.
func (s *slots) cachedText(name string, write func(*matchCtx, []byte) ([]byte, bool)) strFunc {
	slot := number(s.texts, name)
	return func(c *matchCtx) (string, bool) {
		t := &c.texts[slot]
		if t.gen != c.gen {
			t.buf, t.ok = write(c, t.buf[:0])
			t.gen = c.gen
		}
		return view(t.buf), t.ok
	}
}

// str compiles an operand with a single text.
func (s *slots) str(o *ast.Operand) strFunc {
	switch {
	case o.Text != nil:
		text := o.Text.Text
		return func(*matchCtx) (string, bool) { return text, true }
	case o.Func != ast.NoFunc:
		return s.strFunction(o)
	case o.Type.Numeric() || o.Type == event.FieldBool || o.Ref.Composed():
		ref := o.Ref
		return s.cachedText(o.String(), func(c *matchCtx, b []byte) ([]byte, bool) { return ref.AppendText(c.ev, b) })
	}
	ref := o.Ref
	return func(c *matchCtx) (string, bool) { return ref.Str(c.ev) }
}

// strFunction compiles a function whose value is a single text.
func (s *slots) strFunction(o *ast.Operand) strFunc {
	name := o.String()
	switch o.Func {
	case ast.FuncVal:
		return s.str(o.Args[0])
	case ast.FuncLen:
		n := s.num(o)
		return s.cachedText(name, func(c *matchCtx, b []byte) ([]byte, bool) {
			v, ok := n(c)
			return strconv.AppendInt(b, v, 10), ok
		})
	case ast.FuncBasename:
		arg := s.str(o.Args[0])
		return func(c *matchCtx) (string, bool) {
			v, ok := arg(c)
			return v[strings.LastIndexByte(v, '/')+1:], ok
		}
	case ast.FuncJoin:
		return s.join(o)
	case ast.FuncConcat:
		var args []strFunc
		for _, a := range o.Args {
			args = append(args, s.str(a))
		}
		return s.cachedText(name, func(c *matchCtx, b []byte) ([]byte, bool) {
			for _, a := range args {
				v, ok := a(c)
				if !ok {
					return b, false
				}
				b = append(b, v...)
			}
			return b, true
		})
	case ast.FuncGetopt:
		args, opts, want := s.list(o.Args[0]), o.Args[1].Text.Text, o.Arg
		split := !o.Args[0].List
		return s.cachedText(name, func(c *matchCtx, b []byte) ([]byte, bool) {
			v, ok := optionValue(newWords(args(c), split), opts, want)
			return append(b, v...), ok
		})
	}
	arg, write := s.str(o.Args[0]), transform(o.Func)
	return s.cachedText(name, func(c *matchCtx, b []byte) ([]byte, bool) {
		v, ok := arg(c)
		if !ok {
			return b, false
		}
		return write(b, v)
	})
}

func (s *slots) join(o *ast.Operand) strFunc {
	list, sep := s.list(o.Args[0]), s.str(&ast.Operand{Text: &ast.Literal{Text: ","}})
	if len(o.Args) > 1 {
		sep = s.str(o.Args[1])
	}
	return s.cachedText(o.String(), func(c *matchCtx, b []byte) ([]byte, bool) {
		items := list(c)
		between, ok := sep(c)
		for i, v := range items {
			if i > 0 {
				b = append(b, between...)
			}
			b = append(b, v...)
		}
		return b, ok && len(items) > 0
	})
}

// transform returns the function that changes one text.
func transform(f ast.Func) func([]byte, string) ([]byte, bool) {
	switch f {
	case ast.FuncToLower:
		return func(b []byte, s string) ([]byte, bool) {
			for i := 0; i < len(s); i++ {
				b = append(b, lower(s[i]))
			}
			return b, true
		}
	case ast.FuncToUpper:
		return func(b []byte, s string) ([]byte, bool) {
			for i := 0; i < len(s); i++ {
				c := s[i]
				if c >= 'a' && c <= 'z' {
					c -= 'a' - 'A'
				}
				b = append(b, c)
			}
			return b, true
		}
	case ast.FuncB64:
		return func(b []byte, s string) ([]byte, bool) {
			enc := base64.StdEncoding
			if strings.IndexByte(s, '=') < 0 {
				enc = base64.RawStdEncoding
			}
			out, err := enc.AppendDecode(b, unsafe.Slice(unsafe.StringData(s), len(s)))
			return out, err == nil
		}
	case ast.FuncBasename:
		return func(b []byte, s string) ([]byte, bool) {
			return append(b, s[strings.LastIndexByte(s, '/')+1:]...), true
		}
	}
	return func(b []byte, s string) ([]byte, bool) { return append(b, s...), true }
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// list compiles an operand to its values; one with a single value has a list
// of one.
func (s *slots) list(o *ast.Operand) listFunc {
	slot := number(s.lists, o.String())
	fill := s.fillList(o)
	return func(c *matchCtx) []string {
		l := &c.lists[slot]
		if l.gen != c.gen {
			l.strs = fill(c, l.strs[:0])
			l.gen = c.gen
		}
		return l.strs
	}
}

func (s *slots) fillList(o *ast.Operand) func(*matchCtx, []string) []string {
	switch {
	case o.List && o.Func == ast.FuncVal:
		return s.fillList(o.Args[0])
	case o.List && o.Func == ast.FuncGetopt:
		args, opts, split := s.list(o.Args[0]), o.Args[1].Text.Text, !o.Args[0].List
		return func(c *matchCtx, dst []string) []string { return optionLetters(newWords(args(c), split), opts, dst) }
	case o.List && o.Func != ast.NoFunc:
		args, write := s.list(o.Args[0]), transform(o.Func)
		return func(c *matchCtx, dst []string) []string {
			for _, w := range args(c) {
				if b, ok := write(nil, w); ok {
					dst = append(dst, string(b))
				}
			}
			return dst
		}
	case o.List && o.Type.Numeric():
		nums := s.nums(o)
		return func(c *matchCtx, dst []string) []string {
			for _, n := range nums(c) {
				dst = append(dst, strconv.FormatInt(n, 10))
			}
			return dst
		}
	case o.List:
		ref := o.Ref
		return func(c *matchCtx, dst []string) []string { return ref.AppendList(c.ev, dst) }
	}
	one := s.str(o)
	return func(c *matchCtx, dst []string) []string {
		if v, ok := one(c); ok {
			dst = append(dst, v)
		}
		return dst
	}
}

// num compiles a numeric or boolean operand.
func (s *slots) num(o *ast.Operand) numFunc {
	switch o.Func {
	case ast.FuncVal:
		return s.num(o.Args[0])
	case ast.FuncLen:
		if a := o.Args[0]; a.List {
			list := s.list(a)
			return func(c *matchCtx) (int64, bool) { n := len(list(c)); return int64(n), n > 0 }
		}
		str := s.str(o.Args[0])
		return func(c *matchCtx) (int64, bool) { v, ok := str(c); return int64(len(v)), ok }
	}
	ref := o.Ref
	return func(c *matchCtx) (int64, bool) { return ref.Num(c.ev) }
}

// nums compiles a numeric operand to its values.
func (s *slots) nums(o *ast.Operand) numsFunc {
	if o.Func == ast.FuncVal {
		return s.nums(o.Args[0])
	}
	slot := number(s.lists, "numbers of "+o.String())
	if o.Func != ast.NoFunc {
		one := s.num(o)
		return func(c *matchCtx) []int64 {
			l := &c.lists[slot]
			l.nums = l.nums[:0]
			if v, ok := one(c); ok {
				l.nums = append(l.nums, v)
			}
			return l.nums
		}
	}
	ref := o.Ref
	return func(c *matchCtx) []int64 {
		l := &c.lists[slot]
		if l.gen != c.gen {
			l.nums = ref.AppendNums(c.ev, l.nums[:0])
			l.gen = c.gen
		}
		return l.nums
	}
}

// words yields arguments one by one: those of an argument vector without the
// program, or of a text that blanks divide.
type words struct {
	list []string
	text string
}

func newWords(list []string, split bool) words {
	switch {
	case len(list) == 0:
		return words{}
	case split:
		return words{text: list[0]}
	}
	return words{list: list[1:]}
}

func (w *words) next() (string, bool) {
	if len(w.list) > 0 {
		s := w.list[0]
		w.list = w.list[1:]
		return s, true
	}
	w.text = strings.TrimLeft(w.text, " ")
	if w.text == "" {
		return "", false
	}
	s, rest, _ := strings.Cut(w.text, " ")
	w.text = rest
	return s, true
}

// options walks through arguments as getopt does, in the order in which they
// stand, and calls f for each option with its letter and value until f
// returns false.
func options(args words, opts string, f func(letter byte, value string) bool) {
	for {
		w, ok := args.next()
		if !ok || w == "--" {
			return
		}
		if len(w) < 2 || w[0] != '-' || w[1] == '-' {
			continue
		}
		for k := 1; k < len(w); k++ {
			at := strings.IndexByte(opts, w[k])
			if at < 0 || w[k] == ':' {
				continue
			}
			if at+1 >= len(opts) || opts[at+1] != ':' {
				if !f(w[k], "") {
					return
				}
				continue
			}
			value := w[k+1:]
			if value == "" {
				value, _ = args.next()
			}
			if !f(w[k], value) {
				return
			}
			break
		}
	}
}

func optionValue(args words, opts, want string) (value string, ok bool) {
	options(args, opts, func(letter byte, v string) bool {
		if len(want) == 1 && want[0] == letter {
			value, ok = v, true
		}
		return !ok
	})
	return value, ok
}

func optionLetters(args words, opts string, dst []string) []string {
	options(args, opts, func(letter byte, _ string) bool {
		dst = append(dst, opts[strings.IndexByte(opts, letter):][:1])
		return true
	})
	return dst
}
