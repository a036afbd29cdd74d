package rule

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"pgregory.net/rapid"
)

func TestSockets(t *testing.T) {
	const inet, packet, stream, raw, cloexec = 2, 17, 1, 3, 0o2000000
	for cond, want := range map[string][3]bool{ // inet stream, inet raw, packet raw
		"evt.type = execve":                                                                     {},
		"evt.type = socket":                                                                     {true, true, true},
		"evt.type = socket and proc.name = nc":                                                  {true, true, true},
		"evt.type = socket and evt.failed = false":                                              {true, true, true},
		"evt.type = socket and evt.arg.type contains SOCK_RAW":                                  {false, true, true},
		"evt.type = socket and evt.arg.type = SOCK_RAW":                                         {false, true, true},
		"evt.type = socket and evt.arg.type contains SOCK_CLOEXEC":                              {true, true, true},
		"evt.type = socket and not evt.arg.domain in (AF_INET, AF_INET6)":                       {false, false, true},
		"evt.type = socket and evt.arg.domain = AF_INET and not evt.arg.type startswith SOCK_S": {false, true, false},
		"evt.type = socket and evt.arg.domain exists and evt.arg.type != SOCK_STREAM":           {true, true, true}, // with flags
	} {
		f := mustLoad(t, ruleFile("r", cond)).Sockets()
		if got := [3]bool{f.Wants(inet, stream|cloexec), f.Wants(inet, raw), f.Wants(packet, raw)}; got != want {
			t.Errorf("%s: %v are wanted, want %v", cond, got, want)
		}
		if !f.Wants(64, 1) {
			t.Errorf("%s: a family that the filter does not know is not wanted", cond)
		}
	}
}

// TestSocketsHideNothing matches random conditions against sockets of many kinds.
func TestSocketsHideNothing(t *testing.T) {
	atoms := []string{"evt.arg.domain = AF_INET", "evt.arg.domain in (AF_PACKET, AF_UNIX)", "evt.arg.domain != AF_INET6", "evt.arg.domain startswith AF_P", "evt.arg.domain exists",
		"evt.arg.type = SOCK_RAW", "evt.arg.type contains SOCK_RAW", "evt.arg.type contains CLOEXEC", "evt.arg.type != SOCK_STREAM", "evt.arg.type icontains dgram", "evt.arg.proto = icmp",
		"evt.failed = true", "proc.name = nc", "fd.num >= 0", "tolower(evt.arg.domain) = af_inet", "evt.arg[0] = AF_INET", "evt.args contains SOCK_RAW"}
	rapid.Check(t, func(t *rapid.T) {
		cond := "evt.type = socket and (" + condOf(t, atoms, 3) + ")"
		set, rep := Load([]File{{Name: "r", Data: []byte(ruleFile("r", cond))}}, Options{})
		if rep.Errors() > 0 {
			t.Fatalf("%s: %v", cond, rep.Err())
		}
		f := set.Sockets()
		for _, family := range []uint64{0, 1, 2, 10, 16, 17, 38, 45, 63, 64, 1 << 31} {
			for _, kind := range []uint64{0, 1, 2, 3, 5, 10, 15, 1 | 0o4000, 3 | 0o2000000, 2 | 0o2004000, 1 << 12} {
				for _, ret := range []int64{3, -22} {
					ev := &event.Event{Type: event.MakeSocket, Num: 1, Proc: execEvent().Proc, Call: &event.Call{Spec: event.CallNamed("socket"), Ret: ret, Args: [6]uint64{family, kind, 1}}}
					if ret > 0 {
						ev.Call.FD = &event.FD{Num: int32(ret), Kind: event.StdioSocket, Sock: &event.Socket{}}
					}
					if len(matches(set, ev)) > 0 && !f.Wants(uint32(family), uint32(kind)) {
						t.Fatalf("%s matches a socket of family %d and kind %#o, and does not ask for it", cond, family, kind)
					}
				}
			}
		}
	})
}
