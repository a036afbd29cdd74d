package fdgraph

import (
	"testing"

	"github.com/bearcat-hids/bearcat/internal/event"
	"pgregory.net/rapid"
)

// TestModel applies random events, in any order and of any content, and looks
// whether what is known of processes and of objects agrees, within the bounds.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := New(Options{Processes: 12, Objects: 12})
		procs := make([]*event.Process, 20)
		for i := range procs {
			procs[i] = &event.Process{Key: event.Key{Pid: uint32(i + 10), Start: uint64(i)}, Comm: "p"}
			if i > 0 {
				procs[i].Parent = procs[rapid.IntRange(0, i-1).Draw(rt, "parent")]
				procs[i].ParentKey = procs[i].Parent.Key
			}
		}
		stdio := func() event.Stdio {
			s := event.Stdio{Kind: event.StdioKind(rapid.IntRange(0, 12).Draw(rt, "kind")), Inode: uint64(rapid.IntRange(0, 6).Draw(rt, "inode"))}
			s.Path = rapid.SampledFrom([]string{"", "/dev/pts/1", "/dev/ptmx", "/tmp/f"}).Draw(rt, "path")
			if rapid.Bool().Draw(rt, "socket") {
				s.Sock = &event.Socket{Family: rapid.SampledFrom([]string{"ipv4", "unix", "ipv6"}).Draw(rt, "family"), Proto: "tcp", Remote: "192.0.2.1", RemotePort: uint16(rapid.IntRange(0, 2).Draw(rt, "port"))}
			}
			return s
		}
		fd := func() *event.FD {
			s := stdio()
			return &event.FD{Num: int32(rapid.IntRange(-1, 5).Draw(rt, "num")), Kind: s.Kind, File: event.File{Inode: s.Inode, Path: s.Path}, Sock: s.Sock}
		}
		boot := uint64(0)
		for range rapid.IntRange(1, 80).Draw(rt, "events") {
			boot += uint64(rapid.IntRange(0, 3e9).Draw(rt, "later"))
			p := rapid.SampledFrom(procs).Draw(rt, "proc")
			ev := &event.Event{Boot: boot, Proc: p}
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				ev.Type = event.Fork
			case 1:
				ev.Type = event.Exec
				p.Image = (&event.Image{Exe: event.File{Path: rapid.SampledFrom([]string{"/bin/bash", "/bin/nc"}).Draw(rt, "exe")}, Stdio: [3]event.Stdio{stdio(), stdio(), stdio()}}).Seal()
			case 2:
				ev.Type = event.Exit
			default:
				spec := rapid.SampledFrom(event.Calls()).Draw(rt, "call")
				if rapid.Bool().Draw(rt, "ours") {
					typ := rapid.SampledFrom([]event.Type{event.Pipe, event.Socketpair, event.Dup, event.Connect, event.Accept, event.Listen, event.Open}).Draw(rt, "type")
					spec = event.CallsOf(typ)[0]
				}
				ev.Type, ev.Call = spec.Type, &event.Call{Spec: spec, Ret: int64(rapid.SampledFrom([]int{0, 3, -2, -115}).Draw(rt, "ret")), FD: fd(), FD2: fd()}
			}
			g.Apply(ev)
			holdsGood(rt, g)
			if s := ev.Shell; s != nil && s.In == nil && s.Out == nil {
				rt.Fatal("a shell leads nowhere")
			} else if s != nil {
				s.AppendChain(nil)
			}
		}
		if len(g.procs) > 12 || len(g.objects) > 12 {
			rt.Fatalf("%d processes and %d objects", len(g.procs), len(g.objects))
		}
		for o, e := range g.objects {
			seen := map[*holder]bool{}
			for _, h := range e.holders {
				if g.procs[h.key] != h || !h.holds(o) || seen[h] {
					rt.Fatalf("object %v lists %v, which does not hold it or stands twice", o, h.key)
				}
				seen[h] = true
			}
		}
		for key := range g.terminals {
			if g.procs[key] == nil {
				rt.Fatalf("terminal of %v, which is not known", key)
			}
		}
	})
}

// holdsGood looks again at what is known to lead nowhere, without what is known.
func holdsGood(rt *rapid.T, g *Graph) {
	known := map[object][2]bool{}
	kept := map[*ends][2]uint64{}
	for o, e := range g.objects {
		known[o], kept[e] = [2]bool{e.known(inward), e.known(outward)}, e.nowhere
		e.nowhere = [2]uint64{}
	}
	for o, dirs := range known {
		for dir, is := range dirs {
			if !is {
				continue
			}
			if _, dead := g.deadEnd(o, direction(dir)); !dead {
				rt.Fatalf("object %v is said to lead nowhere, and leads on", o)
			}
		}
	}
	for e, nowhere := range kept {
		e.nowhere = nowhere
	}
}
