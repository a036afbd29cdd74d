package packet

import (
	"slices"
	"strings"
)

func callName(nr uint32) string {
	switch nr {
	case 1:
		return "write"
	case 20:
		return "writev"
	case 40:
		return "sendfile"
	case 42:
		return "connect"
	case 44:
		return "sendto"
	case 46:
		return "sendmsg"
	case 48:
		return "shutdown"
	case 307:
		return "sendmmsg"
	}
	return "call " + itoa(uint64(nr))
}

func tableName(t uint32) string {
	switch t {
	case 253:
		return "default"
	case 254:
		return "main"
	case 255:
		return "local"
	}
	return itoa(uint64(t))
}

// path names the functions of a stack, outermost first, without those that every packet
// goes through. The number of a stack stays the same while the programs are loaded.
func (g *gatherer) path(id int32) []string {
	if id < 0 {
		return nil
	}
	out, known := g.paths[id]
	if !known {
		out = g.readPath(id)
		g.paths[id] = out
	}
	return out
}

func (g *gatherer) readPath(id int32) (out []string) {
	for _, addr := range g.stack(id) {
		name, _ := g.names.Find(addr)
		name, _, _ = strings.Cut(name, ".") // as in .isra.0
		switch {
		case name == "" || probe(name):
			continue
		case border(name):
			slices.Reverse(out)
			return out
		}
		out = append(out, name)
	}
	slices.Reverse(out)
	return out
}

// probe is whether a function is there only because packets are followed.
func probe(name string) bool {
	for _, p := range []string{"bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "trace_event_", "bpf_get_stackid", "trace_call_bpf"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// border is whether the way of a packet begins inside this function.
func border(name string) bool {
	for _, p := range []string{"__x64_sys_", "__se_sys_", "entry_SYSCALL"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return slices.Contains([]string{
		"do_syscall_64", "ksys_write", "vfs_write", "__sys_sendto", "__sys_sendmsg", "__sock_sendmsg", "sock_sendmsg", "sock_write_iter",
		"__do_softirq", "handle_softirqs", "__softirqentry_text_start", "net_rx_action", "__napi_poll", "napi_poll",
	}, name)
}
