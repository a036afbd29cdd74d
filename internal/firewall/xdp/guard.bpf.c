//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Counts the connections that others open to guarded ports, and bans a source that
 * opens too many. It runs where a handshake has been completed, so nobody can have
 * an address banned that is not his own.
 */
#include "lists.h"
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define INET 2
#define INET6 10
#define ESTABLISHED 1
#define SYN_RECV 3

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr___g {
	u8 bytes[16];
};

struct sock_common {
	u32 skc_daddr;
	u16 skc_num;
	unsigned short skc_family;
	struct in6_addr___g skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
};

#pragma clang attribute pop

static __always_inline int read_peer(struct sock *sk, struct addr6 *a)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (family == INET) {
		u32 v4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		map4(a, &v4);
		return 1;
	}
	if (family != INET6)
		return 0;
	bpf_probe_read_kernel(a->addr, 16, __builtin_preserve_access_index(&sk->__sk_common.skc_v6_daddr));
	return 1;
}

SEC("raw_tp/inet_sock_set_state")
int fw_guard(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	u32 zero = 0, slot, *now, v4;
	struct fw_control *c = bpf_map_lookup_elem(&control, &zero);
	struct fw_guards *all;
	struct addr6 a = {};
	u16 port;

	if ((u32)ctx->args[1] != SYN_RECV || (u32)ctx->args[2] != ESTABLISHED)
		return 0;
	now = bpf_map_lookup_elem(&active, &zero);
	if (!c || !now)
		return 0;
	slot = *(volatile u32 *)now & 1;
	all = bpf_map_lookup_elem(&guards, &slot);
	if (!all)
		return 0;
	port = BPF_CORE_READ(sk, __sk_common.skc_num);
	for (int i = 0; i < GUARDS; i++) {
		struct fw_guard *g = &all->guard[i];
		struct fw_count *n;
		u32 counter;
		u64 hi, lo;

		if (i >= all->count)
			return 0;
		if (port < g->port_lo || port > g->port_hi)
			continue;
		if (!read_peer(sk, &a))
			return 0;
		__builtin_memcpy(&hi, a.addr, 8);
		__builtin_memcpy(&lo, a.addr + 8, 8);
		v4 = !hi && (u32)lo == 0xffff0000;
		if (v4 ? allowed4(a.addr + 12, c->blocks) : allowed6(a.addr, c->blocks))
			return 0;
		if (!v4) { /* whoever has one address of IPv6 has the 64 bits behind it */
			widen(&a);
			lo = 0;
		}
		counter = g->counter;
		n = bpf_map_lookup_elem(&counters, &counter);
		if (n)
			n->packets++;
		if (charge(c->seed, hi, lo, counter, g->cost_ns, g->burst_ns, bpf_ktime_get_ns())) {
			if (n)
				n->over++;
			ban_source(ctx, c, &a, g->ban_ns, g->grow, counter);
		}
		return 0;
	}
	return 0;
}
