package call

import (
	"encoding/binary"
	"strconv"

	"github.com/bearcat-hids/bearcat/internal/event"
	"github.com/bearcat-hids/bearcat/internal/sensor"
)

// progTypes are the kernel's program types by number (enum bpf_prog_type).
func progTypes() []string {
	return []string{"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
		"cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
		"cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable",
		"cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter"}
}

// bpfInfo reads the attribute of a bpf call (union bpf_attr): the first 256
// bytes of it.
func bpfInfo(c *event.Call, p *parts) *event.BPFInfo {
	b := &event.BPFInfo{}
	if i := c.Spec.ArgNamed("cmd"); i >= 0 && c.Spec.Args[i].Names != nil {
		b.Cmd = string(c.Spec.Args[i].Names.Append(nil, c.Args[i]))
	}
	u32 := func(at int) uint32 {
		if at+4 > len(p.data) {
			return 0
		}
		return binary.LittleEndian.Uint32(p.data[at:])
	}
	switch c.Args[0] {
	case 5: // PROG_LOAD
		b.ProgType = strconv.Itoa(int(u32(0)))
		if names := progTypes(); int(u32(0)) < len(names) {
			b.ProgType = names[u32(0)]
		}
		b.Insns = u32(4)
		if len(p.data) >= 64 {
			b.Name = string(sensor.UntilNul(p.data[48:64]))
		}
		b.AttachType = strconv.Itoa(int(u32(68)))
		if p.insns != nil {
			n := min(p.insns.Helpers, uint32(len(p.insns.Helper)))
			b.Helpers = append(b.Helpers, p.insns.Helper[:n]...)
			b.ScanCut = p.insns.Looked < p.insns.Count || n < p.insns.Helpers
		}
	case 6: // OBJ_PIN
		if c.Path != nil {
			b.Path = c.Path.Path
		}
	case 8, 9: // PROG_ATTACH, PROG_DETACH
		b.AttachType = strconv.Itoa(int(u32(8)))
	case 28: // LINK_CREATE
		b.AttachType = strconv.Itoa(int(u32(8)))
	}
	return b
}
