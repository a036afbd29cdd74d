package rule

import (
	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/rule/ast"
	"golang.org/x/sys/unix"
)

// Sockets returns which sockets live rules can match, by what is asked for.
func (s *Set) Sockets() *event.SocketFilter {
	f := &event.SocketFilter{}
	call := &event.Call{Spec: event.CallNamed("socket")}
	ev := &event.Event{Type: event.MakeSocket, Call: call}
	for family := range uint64(event.SocketFamilies) {
		for kind := range uint64(event.SocketKinds) {
			for _, flags := range []uint64{0, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK} {
				call.Args = [6]uint64{family, kind | flags}
				if s.socketPossible(ev) {
					f[family] |= 1 << kind
					break
				}
			}
		}
	}
	return f
}

// socketPossible reports whether a live rule may match a socket of which the family and
// the kind are known.
func (s *Set) socketPossible(ev *event.Event) bool {
	seen := map[*node]truth{}
	for _, root := range s.sockets {
		if possible(root, func(c *ast.Check) truth { return socketCheck(c, ev) }, seen) != no {
			return true
		}
	}
	return false
}

func socketCheck(c *ast.Check, ev *event.Event) truth {
	ref := c.Left.Ref
	if ref == nil || c.Right != nil || c.Left.List || c.Left.Func != ast.NoFunc || c.Left.Type != event.FieldString {
		return maybe
	}
	switch ref.Name() {
	case "evt.arg.domain", "evt.arg.type":
	default:
		return maybe
	}
	text, ok := ref.AppendText(ev, nil)
	switch {
	case !ok:
		return no
	case c.Op == ast.OpExists:
		return yes
	}
	return known(strTest(c)(string(text)))
}
