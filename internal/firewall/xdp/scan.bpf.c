//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Sees packets that were for nobody: the kernel refuses the connection or says that the
 * port is closed. Who has many refused is scanning.
 */
#include "scan.h"
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IP4 0x0800
#define IP6 0x86dd
#define NO_HEADER 0xffff
#define ACK 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	unsigned char *head;
	u16 transport_header, network_header;
	u16 protocol;
	int skb_iif;
};

enum skb_drop_reason { SKB_DROP_REASON_NO_SOCKET = 3 };

#pragma clang attribute pop

SEC("raw_tp/kfree_skb")
int fw_refused(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx->args[0];
	struct scan_try t = { .reason = R_REFUSED, .rule = NOBODY, .has_port = 1 };
	u32 zero = 0, v4;
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	u16 protocol, net, transport, ports[2] = {};
	u8 proto = 0, flags = 0;
	unsigned char *head;

	if ((u32)ctx->args[2] != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET))
		return 0;
	if (!c || !c->scans)
		return 0;
	head = BPF_CORE_READ(skb, head);
	net = BPF_CORE_READ(skb, network_header);
	transport = BPF_CORE_READ(skb, transport_header);
	protocol = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	if (!head || net == NO_HEADER || transport == NO_HEADER || transport <= net)
		return 0;
	if (protocol == IP4) {
		bpf_probe_read_kernel(&proto, 1, head + net + 9);
		bpf_probe_read_kernel(&v4, 4, head + net + 12);
		map4(&t.source, &v4);
		bpf_probe_read_kernel(&v4, 4, head + net + 16);
		t.target_lo = v4;
		if (t.source.addr[12] == 127 || allowed4(t.source.addr + 12, c->blocks))
			return 0;
	} else if (protocol == IP6) {
		/* behind extension headers it is one of these two all the same, or none */
		bpf_probe_read_kernel(&proto, 1, head + net + 6);
		bpf_probe_read_kernel(t.source.addr, 16, head + net + 8);
		bpf_probe_read_kernel(&t.target_hi, 8, head + net + 24);
		bpf_probe_read_kernel(&t.target_lo, 8, head + net + 32);
		__builtin_memcpy(&v4, t.source.addr, 4);
		if (!v4 || allowed6(t.source.addr, c->blocks)) /* ::1 */
			return 0;
	} else {
		return 0;
	}
	bpf_probe_read_kernel(ports, 4, head + transport);
	if (proto == 6)
		bpf_probe_read_kernel(&flags, 1, head + transport + 13);
	/* answers that come late are no tries */
	if ((proto != 6 && proto != 17) || flags & ACK || (proto == 17 && bpf_ntohs(ports[0]) < 1024))
		return 0;
	t.port = bpf_ntohs(ports[1]);
	t.device = BPF_CORE_READ(skb, skb_iif);
	note_try(c, &t, bpf_ktime_get_ns());
	return 0;
}
